/* examples/vdi/help.c - what --help says, wrapped to the terminal */
#include <ctype.h>

#include "tool.h"

enum { INDENT = 26, NARROW = 50, WIDE = 100, USUAL = 80, TEXT = OPTION_HELP / 2 };

static int width_of(FILE *to) {
    const int width = terminal_width(to);
    if (width == 0) return USUAL;
    return width < NARROW ? NARROW : width > WIDE ? WIDE : width;
}

/* The text, broken between words. The first line begins at column `at`, the others at `indent`. */
static void wrap(FILE *to, int width, int at, int indent, const char *text) {
    int column = at;
    bool first = true;
    while (*text) {
        const size_t blank = strspn(text, " \n");
        const size_t word = strcspn(text + blank, " \n");
        if (word == 0) break;
        if (!first && column + 1 + (int)word > width) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", (int)word, text + blank);
        column += (int)word;
        text += blank + word;
        first = false;
    }
    fputc('\n', to);
}

void option_range(const option *o, const vdi_field *field, char *text, size_t size) {
    char range[300], number[VDI_TEXT_NUMBER];
    const bool open = field->type == VDI_FIELD_TYPE_INT || field->type == VDI_FIELD_TYPE_REAL;
    if (field->type == VDI_FIELD_TYPE_BOOL && o->value) {
        snprintf(range, sizeof range, "yes or no");
    } else if (open && field->most > 1e9 && field->least <= -1e6) {
        snprintf(range, sizeof range, "any number");
    } else if (open && field->most > 1e9) { /* no end that anyone would meet */
        (void)vdi_text_double(number, field->least, 6);
        snprintf(range, sizeof range, "%s%s %s",
                 field->type == VDI_FIELD_TYPE_INT ? "a whole number, " : "",
                 field->flags & VDI_FIELD_ABOVE ? "above" : "at least", number);
    } else {
        (void)vdi_field_range_text(field, range, sizeof range);
    }
    for (char *c = range; field->type == VDI_FIELD_TYPE_ENUM && *c; c++)
        if (*c == '_') *c = '-';
    const bool is_auto = o->initial && strcmp(o->initial, "auto") == 0;
    snprintf(text, size, "%s%s", is_auto && field->type == VDI_FIELD_TYPE_ENUM ? "auto, " : "",
             range);
}

/* "Sizes of the layers" out of "sizes of the layers". */
static void sentence(char *out, size_t size, const char *text) {
    snprintf(out, size, "%s", text);
    if (islower((unsigned char)out[0]) && (islower((unsigned char)out[1]) || out[1] == ' '))
        out[0] = (char)toupper((unsigned char)out[0]);
    const size_t n = strlen(out);
    if (n && n + 1 < size && out[n - 1] != '.') memcpy(out + n, ".", 2);
}

static void default_text(const option *o, const vdi_field *field, char *text, size_t size) {
    text[0] = 0;
    if (o->initial) {
        snprintf(text, size, "%s", o->initial);
        return;
    }
    if (!field->name || field->flags & (VDI_FIELD_REQUIRED | VDI_FIELD_COMPUTED)) return;
    if (field->type == VDI_FIELD_TYPE_BOOL) return;
    if (field->type == VDI_FIELD_TYPE_SIZES) {
        for (int i = 0; i < field->initial_number; i++) {
            const size_t n = strlen(text);
            snprintf(text + n, size - n, "%s%lld", i ? "," : "", (long long)field->initial);
        }
        if (field->initial_number == 0) snprintf(text, size, "none");
    } else if (field->type == VDI_FIELD_TYPE_ENUM) {
        snprintf(text, size, "%s", field->words[(int)field->initial]);
    } else {
        char number[VDI_TEXT_NUMBER];
        (void)vdi_text_double(number, field->initial, 0);
        snprintf(text, size, "%s", number);
    }
}

void option_words(const option *o, option_text *text) {
    vdi_field field = o->own;
    char help[TEXT], range[480] = "", initial[200];
    if (o->table) field = *vdi_fields_find(o->table(), o->member);
    snprintf(text->name, sizeof text->name, "%s%s%s%s%s%s", o->name[1] ? "--" : "-", o->name,
             o->also ? ", --" : "", o->also ? o->also : "", o->value ? " " : "",
             o->value ? o->value : "");
    sentence(help, sizeof help, o->help ? o->help : field.help);
    if (field.name && (field.type != VDI_FIELD_TYPE_BOOL || o->value) &&
        field.type != VDI_FIELD_TYPE_SEED) {
        char words[400];
        option_range(o, &field, words, sizeof words);
        snprintf(range, sizeof range, " Values: %s.", words);
    }
    default_text(o, &field, initial, sizeof initial);
    snprintf(text->help, sizeof text->help, "%s%s%s%s%s", help, range, *initial ? " Default: " : "",
             initial, *initial ? "." : "");
}

static void help_option(FILE *to, int width, const option *o) {
    char left[84];
    option_text text;
    option_words(o, &text);
    snprintf(left, sizeof left, "  %s", text.name);
    int at = fprintf(to, "%-*s", INDENT - 1, left) + 1;
    if (at > INDENT) {
        fputc('\n', to);
        fprintf(to, "%*s", INDENT - 1, "");
        at = INDENT;
    }
    fputc(' ', to);
    wrap(to, width, at, INDENT, text.help);
}

static void help_command(FILE *to, const command *c) {
    const int width = width_of(to), common = option_count(c) - c->option_count;
    fprintf(to, "usage: vdi %s%s%s [options]\n\n", command_name(c), *c->arguments ? " " : "",
            c->arguments);
    wrap(to, width, 0, 0, c->summary);
    if (c->option_count && c->options[0].name) fputs("\noptions:\n", to);
    for (int i = 0; i < c->option_count; i++) {
        if (c->options[i].name)
            help_option(to, width, &c->options[i]);
        else
            fprintf(to, "\n%s:\n", c->options[i].help);
    }
    fputs("\ncommon options:\n", to);
    for (int i = 0; i < common; i++)
        help_option(to, width, option_at(c, i));
    fprintf(to, "\nexample:\n  %s\n", c->example);
}

/* Does the summary's first sentence, or what stands before its first colon or semicolon outside of
 * brackets, end here? */
static bool sentence_ends(const char *text, int brackets) {
    return !*text || (brackets == 0 && strchr(".:;?", *text) && (text[1] == ' ' || !text[1]));
}

void first_sentence(char *out, size_t size, const char *text) {
    size_t n = 0;
    int brackets = 0;
    for (; !sentence_ends(text + n, brackets); n++)
        brackets += (text[n] == '(') - (text[n] == ')');
    snprintf(out, size, "%.*s%s", (int)n, text, text[n] == '?' ? "?" : "");
}

int run_help(FILE *to, const command *const *commands, int count, const char *family,
             const char *verb) {
    char line[TEXT];
    const int width = width_of(to);
    for (int i = 0; family && i < count; i++) {
        if (strcmp(commands[i]->family, family) != 0) continue;
        if (strcmp(commands[i]->verb, verb ? verb : "") != 0) continue;
        help_command(to, commands[i]);
        return DONE;
    }
    fprintf(to,
            "vdi %s: value decomposition and variational inference\n\n"
            "usage: vdi <family> <verb> [arguments] [options]\n\n",
            VDI_VERSION);
    for (int i = 0; i < count; i++) {
        if (family && strcmp(commands[i]->family, family) != 0) continue;
        if (i > 0 && *commands[i]->verb && strcmp(commands[i]->family, commands[i - 1]->family))
            fputc('\n', to);
        first_sentence(line, sizeof line, commands[i]->summary);
        fprintf(to, "  %-17s ", command_name(commands[i]));
        wrap(to, width, 20, 20, line);
    }
    fputc('\n', to);
    wrap(
        to, width, 0, 0,
        "vdi <family> <verb> --help tells more, with an example; vdi man is all of it as a manual "
        "page, vdi completion bash (or zsh, fish) completes words. Arrays are .npy, one member of "
        "an .npz (file.npz:name), .csv, .tsv or .mat; - is standard input; NaN is a missing value. "
        "Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted (143 by SIGTERM).");
    return DONE;
}
