"use strict";
// Keeps the answers in this browser and saves them as a file; nothing is sent.
(() => {
  const about = JSON.parse(document.getElementById("about").textContent);
  const form = document.getElementById("form");
  const place = `matex-reader-${about.study}-${about.reader}`;

  function answers() {
    const given = {};
    for (const section of form.querySelectorAll(".case")) {
      const name = section.dataset.case;
      const entry = {};
      for (const key of about.questions) {
        const chosen = form.querySelector(`input[name="${name}.${key}"]:checked`);
        entry[key] = chosen ? Number(chosen.value) : null;
      }
      entry.comment = form.querySelector(`input[name="${name}.comment"]`).value;
      given[name] = entry;
    }
    return given;
  }

  function isOpen(entry) {
    return about.questions.some((key) => entry[key] === null);
  }

  function update() {
    const given = answers();
    let open = 0;
    for (const section of form.querySelectorAll(".case")) {
      const unanswered = isOpen(given[section.dataset.case]);
      section.classList.toggle("open", unanswered);
      open += unanswered;
    }
    const total = Object.keys(given).length;
    document.getElementById("progress").textContent = `${total - open} of ${total} cases answered`;
    try {
      localStorage.setItem(place, JSON.stringify(given));
    } catch {
      // Some browsers keep nothing for local files; the answers then live in this page alone.
    }
  }

  function restore() {
    let kept = null;
    try {
      kept = JSON.parse(localStorage.getItem(place));
    } catch {
      return;
    }
    for (const [name, entry] of Object.entries(kept ?? {})) {
      for (const [key, value] of Object.entries(entry)) {
        const field = key === "comment"
          ? form.querySelector(`input[name="${name}.comment"]`)
          : form.querySelector(`input[name="${name}.${key}"][value="${value}"]`);
        if (field && key === "comment") field.value = value;
        else if (field) field.checked = true;
      }
    }
  }

  function cell(value) {
    let text = value === null ? "" : String(value);
    if (/^[\s"'`]*[=+\-@]/.test(text)) text = `'${text}`; // no spreadsheet takes it for a formula
    return `"${text.replaceAll('"', '""')}"`;
  }

  function asCsv(given) {
    const keys = [...about.questions, "comment"];
    const rows = Object.entries(given).map(([name, entry]) =>
      [about.study, about.reader, name, ...keys.map((key) => entry[key])]);
    return [["study", "reader", "case", ...keys], ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  }

  function save(content, type, ending) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type }));
    link.download = `answers-reader-${about.reader}.${ending}`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  document.getElementById("save-json").addEventListener("click", () => {
    const record = { format: "matex-reader-answers/1", study: about.study, reader: about.reader, answers: answers() };
    save(JSON.stringify(record, null, 2) + "\n", "application/json", "json");
  });
  document.getElementById("save-csv").addEventListener("click", () => save(asCsv(answers()), "text/csv", "csv"));
  form.addEventListener("input", update);
  restore();
  update();
})();
