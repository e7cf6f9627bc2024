/* tests/html.c - a page: escaped, without anything from elsewhere, and its first error kept */
#include "io.h"

static void write_page(vdi_page *p, vdi_writer *w, vdi_tensor y) {
    static const char *const head[2] = {"method", "score"};
    static const char *const cells[6] = {"a<b",
                                         "0.5",
                                         "c&d",
                                         "\xE2\x88\x92"
                                         "1",
                                         NULL,
                                         "n/a"};
    static const char *const rows[2] = {"r1", "r2"};
    static double numbers[4] = {0.5, 1200, NAN, 3}, wide[3] = {1, 2, 4};
    static const char *const three[3] = {"one", "two", "four"};
    vdi_figure f;
    vdi_json_writer j;
    vdi_page_begin(p, w, "Fit <of> \"run\" & co");
    vdi_page_heading(p, 2, "Data");
    vdi_page_text(p, "x < y & \xFF\x01");
    vdi_page_table(p, head, 2, cells, 3);
    vdi_page_numbers(p, head, rows, vdi_tensor_2d(numbers, VDI_F64, 2, 2), 3);
    vdi_page_numbers(p, three, NULL, vdi_tensor_2d(wide, VDI_F64, 1, 3), 3);
    vdi_figure_init(&f, NULL);
    vdi_panel_line(vdi_figure_panel(&f, 0, 0), "y", y);
    vdi_page_figure(p, &f, "A line.");
    vdi_figure_free(&f);
    vdi_page_data_begin(p, "data", &j);
    vdi_json_open(&j, NULL, '{');
    vdi_json_put_text(&j, "s", "</script><b>");
    vdi_json_close(&j);
    vdi_page_data_end(p, &j);
    vdi_page_script(p, "console.log(1 < 2)");
    vdi_page_raw(p, "<section id=\"own\"></section>\n");
}

TEST(html, page) {
    double y[3] = {1, 2, 3};
    vdi_buffer b;
    vdi_writer w;
    vdi_page p;
    vdi_error err;
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    write_page(&p, &w, vdi_tensor_1d(y, VDI_F64, 3));
    CHECK_OK(vdi_page_end(&p, &err), err);
    vdi_write(&w, "", 1);
    CHECK_OK(vdi_writer_flush(&w, &err), err);
    CHECK(strstr(b.data, "<!doctype html>") == b.data && strstr(b.data, "</html>"));
    CHECK(strstr(b.data, "<title>Fit &lt;of&gt; &quot;run&quot; &amp; co</title>") &&
          strstr(b.data, "<p>x &lt; y &amp; \xEF\xBF\xBD\xEF\xBF\xBD</p>"));
    CHECK(strstr(b.data, "<td>a&lt;b</td><td class=\"n\">0.5</td>") &&
          strstr(b.data, "<td class=\"n\">\xE2\x88\x92"
                         "1</td>"));
    CHECK(strstr(b.data, "<td class=\"n\">\xE2\x80\x93</td><td class=\"n\">3</td>") &&
          strstr(b.data, "<td class=\"n\">1200</td>"));
    CHECK(strstr(b.data, ">one</th><th class=\"n\">two</th><th class=\"n\">four</th></tr>"));
    CHECK(strstr(b.data, "{\"s\":\"\\u003c/script>\\u003cb>\"}") && strstr(b.data, "1 < 2") &&
          strstr(b.data, "<section id=\"own\">"));
    /* nothing is fetched: the only addresses are the names of XML */
    for (const char *at = b.data; (at = strstr(at, "http")) != NULL; at++)
        CHECK(strncmp(at, "http://www.w3.org/", 18) == 0, "%.40s", at);
    CHECK(!strstr(b.data, "@import") && !strstr(b.data, "<link") && !strstr(b.data, " src="));
    vdi_buffer_free(&b);
}

TEST(html, errors) {
    double y[4] = {1, 2, 3, 4};
    vdi_buffer b;
    vdi_writer w;
    vdi_page p;
    vdi_error err;
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    write_page(&p, &w, vdi_tensor_2d(y, VDI_F64, 2, 2));
    CHECK_FAILS(vdi_page_end(&p, &err), VDI_ERR_SHAPE);
    CHECK_SAYS(err, "line 'y' has shape (2,2)");
    vdi_buffer_free(&b);
    size_t capacity = 1u << 20;
    vdi_writer_init(&w, full_write, &capacity, "page.html");
    write_page(&p, &w, vdi_tensor_1d(y, VDI_F64, 4));
    CHECK_OK(vdi_page_end(&p, &err), err);
    size_t size = (size_t)w.written;
    CHECK(size > 2000 && size == (1u << 20) - capacity);
    for (capacity = 0; capacity < size; capacity += 111) {
        size_t left = capacity;
        vdi_writer_init(&w, full_write, &left, "page.html");
        write_page(&p, &w, vdi_tensor_1d(y, VDI_F64, 4));
        CHECK(vdi_page_end(&p, &err) == VDI_ERR_IO, "space for %zu bytes of %zu", capacity, size);
    }
}

/* Whatever a name holds, it stays text; and code may not end its own element. */
TEST(html, hostile_names) {
    static const char evil[] = "\"></td></p></title><img src=x onerror=alert(1)>&\x02\xFE";
    static const char *const bad[] = {"</script>", "x = '</SCRIPT ';", "a</sc</Script\n"};
    const char *const words[2] = {evil, evil};
    double numbers[2] = {1, 2};
    vdi_buffer b;
    vdi_writer w;
    vdi_page p;
    vdi_json_writer j;
    vdi_error err;
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    vdi_page_begin(&p, &w, evil);
    vdi_page_heading(&p, 2, evil);
    vdi_page_text(&p, evil);
    vdi_page_table(&p, words, 2, words, 1);
    vdi_page_numbers(&p, words, words, vdi_tensor_2d(numbers, VDI_F64, 1, 2), INT_MAX);
    vdi_page_data_begin(&p, "\" onload=\"x", &j);
    vdi_json_open(&j, NULL, '{');
    vdi_json_put_text(&j, evil, evil);
    vdi_json_close(&j);
    vdi_page_data_end(&p, &j);
    vdi_page_script(&p, "if (a</scripts/.exec(b)) x();"); /* a browser would end here too */
    CHECK_FAILS(vdi_page_end(&p, &err), VDI_ERR_ARGUMENT);
    vdi_write(&w, "", 1);
    CHECK_OK(vdi_writer_flush(&w, &err), err);
    CHECK(!strstr(b.data, "<img") && !strstr(b.data, "exec(b)") && strstr(b.data, "&lt;img"));
    CHECK(strstr(b.data, "id=\"&quot; onload=&quot;x\""));
    vdi_buffer_free(&b);
    for (size_t i = 0; i < VDI__COUNT(bad); i++) {
        vdi_buffer_init(&b, NULL);
        vdi_writer_to_buffer(&w, &b);
        vdi_page_begin(&p, &w, "t");
        vdi_page_script(&p, bad[i]);
        CHECK_FAILS(vdi_page_end(&p, &err), VDI_ERR_ARGUMENT);
        CHECK_SAYS(err, "</script");
        vdi_buffer_free(&b);
    }
    /* a table of numbers without numbers */
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    vdi_page_begin(&p, &w, "t");
    vdi_page_numbers(&p, words, NULL, vdi_tensor_2d(NULL, VDI_F64, 1, 2), 3);
    CHECK_FAILS(vdi_page_end(&p, &err), VDI_ERR_ARGUMENT);
    vdi_buffer_free(&b);
}
