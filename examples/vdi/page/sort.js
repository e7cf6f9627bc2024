// A click on the head of a column sorts its table: numbers as numbers, dashes last; again: the
// other way.
"use strict";
for (const table of document.querySelectorAll("table")) {
    const heads = [...table.rows[0].cells];
    heads.forEach((head, column) => {
        head.style.cursor = "pointer";
        head.title = "sort";
        let down = false;
        head.addEventListener("click", () => {
            const value = (row) => {
                const text = row.cells[column].textContent;
                const number = parseFloat(text.replace("\u2212", "-"));
                return Number.isNaN(number) ? text : number;
            };
            const order = (a, b) => {
                const x = value(a),
                    y = value(b);
                if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
                const rises = x < y ? -1 : x > y ? 1 : 0;
                return down ? -rises : rises;
            };
            down = !down;
            const rows = [...table.rows].slice(1).sort(order);
            for (const row of rows) row.parentNode.appendChild(row);
            for (const other of heads)
                other.textContent = other.textContent.replace(/ [\u25b2\u25bc]$/, "");
            head.textContent += down ? " \u25bc" : " \u25b2";
        });
    });
}
