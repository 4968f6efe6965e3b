"use strict";
// Shows what the server says, part by part, and says what the user asks for. Texts are set as text,
// never as markup: nodes, parameters and logs may have anything in them.
(() => {
  const LATE = 10; // seconds without a word after which what is shown is old
  const SLOW = 90; // seconds that a page may take to connect
  const parts = {};
  const wishes = {};
  const chosen = new Set();
  const opened = new Set();
  let bridge = null;
  let heard = Date.now() / 1000;
  let asked = 0;
  let waiting = null; // for the answer to what the dialog has asked
  let lastEvent = null;

  const at = (id) => document.getElementById(id);
  function make(name, given = {}, ...inside) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(given)) {
      if (key === "class") made.className = value;
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value === true) made.setAttribute(key, "");
      else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
    }
    made.append(...inside);
    return made;
  }
  // Puts new elements in place of old ones; who had the focus has it again.
  function refill(where, ...made) {
    const focus = where.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    where.replaceChildren(...made);
    if (focus) where.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  }
  function set(id, text) {
    const where = at(id);
    if (where.textContent !== text) where.textContent = text;
  }
  function ask(what) {
    what.n = ++asked;
    if (bridge) bridge.asked = JSON.stringify(what);
    return what.n;
  }
  function say(text) {
    at("live").textContent = text;
  }
  function span(seconds) {
    if (seconds < 120) return `${Math.max(0, Math.round(seconds))} s`;
    return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
  }

  // --- parts ----------------------------------------------------------------------------------------
  const show = {
    head(part) {
      set("region", part.region);
      set("state", part.state);
      at("state").className = `pill ${part.tone}`;
      const remarks = at("remarks");
      const text = part.remarks.join("\n");
      if (remarks.dataset.text !== text) {
        remarks.dataset.text = text;
        remarks.replaceChildren(...part.remarks.map((one) => make("li", {}, one)));
        remarks.hidden = part.remarks.length === 0;
      }
      if (part.last !== lastEvent) {
        if (lastEvent !== null) say(part.last);
        lastEvent = part.last;
      }
      for (const button of document.querySelectorAll(".top [data-action]")) button.disabled = Boolean(part.gone);
      tick();
    },
    figures(part) {
      at("figures").replaceChildren(...part.map((one) => make("div", { class: one.tone },
        make("dt", {}, one.label), make("dd", { class: "value" }, one.value), make("dd", {}, one.more))));
    },
    searches(part) {
      at("which").hidden = part.choices.length < 2;
      options(at("choice"), part.choices.map((one) => [one.id, one.label]), part.chosen);
    },
    search(part) {
      at("plots").hidden = at("failures-section").hidden = Boolean(part.none);
      if (part.none) return refill(at("search"), make("p", { class: "quiet" }, part.none));
      const title = make("div", { class: "title" }, make("strong", {}, part.kind),
        make("span", { class: `pill ${part.tone}` }, part.state),
        make("span", {}, `${part.percent}%, ${part.done.toLocaleString("en")} of ${part.total.toLocaleString("en")} evaluations`));
      if (part.can_abort) {
        title.append(make("button", { type: "button", class: "danger", "data-key": "abort", "data-action": "abort",
          onclick: () => open("abort") }, "Abort this search …"));
      }
      const facts = make("dl", { class: "facts" },
        ...part.figures.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
      const made = [title, make("progress", { max: Math.max(1, part.total), value: part.done, "aria-label": `Progress of ${part.kind}` }), facts];
      const notes = [...part.remarks, ...(part.problem ? [part.problem] : [])];
      if (notes.length) made.push(make("ul", {}, ...notes.map((one) => make("li", {}, one))));
      if (part.leaders.rows.length) {
        const head = make("tr", {}, ...part.leaders.columns.map((one) => make("th", { scope: "col", class: "plain" }, one)));
        const rows = part.leaders.rows.map((row) => make("tr", {}, ...row.map((text) => make("td", {}, text))));
        made.push(make("h3", {}, "Leaders"), make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Leaders" },
          make("table", {}, make("caption", { class: "unseen" }, "The best candidates so far"), make("thead", {}, head), make("tbody", {}, ...rows))));
      }
      refill(at("search"), make("div", { class: "searching" }, ...made));
    },
    parameters(part) {
      options(at("parameter"), part.all.map((one) => [one, one]), part.chosen);
      at("parameter").disabled = part.all.length === 0;
    },
    captions(part) {
      for (const [name, text] of Object.entries(part)) {
        for (const where of document.querySelectorAll(`[data-caption="${name}"]`)) where.setAttribute("aria-label", text);
        for (const where of document.querySelectorAll(`[data-caption-text="${name}"]`)) where.textContent = text;
      }
    },
    workers(part) {
      for (const one of chosen) if (!part.includes(one)) chosen.delete(one);
      count();
    },
    doings(part) {
      at("doings-section").hidden = part.length === 0;
      refill(at("doings"), ...part.map((one) => make("div", { class: "doing" },
        make("div", {}, make("strong", {}, one.title), " ", make("span", { class: `pill ${one.tone}` }, one.state)),
        make("code", {}, one.command),
        ...(one.output ? [make("pre", { tabindex: "0", role: "region", "aria-label": `What "${one.title}" has printed`, "data-key": `doing ${one.number}` }, one.output)] : []))));
    },
    log(part) {
      at("log").hidden = part === null;
      if (part === null) return;
      const text = at("log-text");
      const end = text.scrollTop + text.clientHeight >= text.scrollHeight - 4;
      set("log-title", `Job ${part.job} has printed`);
      set("log-text", part.text);
      if (end) text.scrollTop = text.scrollHeight;
    },
    answer(part) {
      if (part.n !== waiting) return;
      waiting = null;
      at("dialog-do").disabled = false;
      if (part.error) at("dialog-error").textContent = part.error;
      else {
        if (at("dialog").open) at("dialog").close();
        if (dialog.what === "remove") { chosen.clear(); count(); }
        say(`${part.started}: it has begun.`);
      }
    },
  };
  function options(select, pairs, value) {
    const text = JSON.stringify(pairs);
    if (select.dataset.text !== text) {
      select.dataset.text = text;
      select.replaceChildren(...pairs.map(([key, label]) => make("option", { value: key }, label)));
    }
    if (select.value !== value) select.value = value;
  }

  // --- tables ---------------------------------------------------------------------------------------
  const tables = {};
  for (const place of document.querySelectorAll("[data-table]")) {
    const name = place.dataset.table;
    const find = make("input", { type: "search", id: `find-${name}`, "data-key": "find", placeholder: place.dataset.find, "aria-label": place.dataset.find });
    const range = make("span", {});
    const back = make("button", { type: "button", "aria-label": `${place.dataset.title}: rows before` }, "‹ Before");
    const on = make("button", { type: "button", "aria-label": `${place.dataset.title}: rows after` }, "After ›");
    const head = make("tr");
    const body = make("tbody");
    place.append(
      make("div", { class: "tools" }, find, make("span", { class: "pages" }, range, back, on)),
      make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${place.dataset.title}, table` },
        make("table", {}, make("caption", { class: "unseen" }, place.dataset.title), make("thead", {}, head), body)));
    const table = tables[name] = { place, range, back, on, head, body, part: null };
    const wish = (change) => {
      const now = table.part || {};
      wishes[name] = { sort: now.sort || "", descending: Boolean(now.descending), find: find.value, page: now.page || 0, ...change };
      ask({ do: "table", table: name, ...wishes[name] });
    };
    let timer = 0;
    find.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => wish({ page: 0 }), 200);
    });
    back.addEventListener("click", () => wish({ page: table.part.page - 1 }));
    on.addEventListener("click", () => wish({ page: table.part.page + 1 }));
    show[name] = (part) => fill(name, table, part, wish);
  }
  function fill(name, table, part, wish) {
    table.part = part;
    const few = part.of <= part.rows.length && part.pages === 1;
    table.place.firstChild.hidden = few && part.of < 8;
    const last = part.first + part.rows.length - 1;
    table.range.textContent = part.total
      ? `${part.first.toLocaleString("en")} to ${last.toLocaleString("en")} of ${part.total.toLocaleString("en")}` : "none";
    table.back.disabled = part.page === 0;
    table.on.disabled = part.page + 1 >= part.pages;
    const heads = part.columns.map((one) => {
      const mine = part.sort === one.key;
      const sign = mine ? (part.descending ? " ▼" : " ▲") : "";
      return make("th", { scope: "col", class: one.number ? "number" : "", "aria-sort": mine ? (part.descending ? "descending" : "ascending") : "none" },
        make("button", { type: "button", "data-key": `sort ${one.key}`, onclick: () => wish({ sort: one.key, descending: mine && !part.descending, page: 0 }) }, one.label + sign));
    });
    const choose = table.place.dataset.choose;
    if (choose) heads.unshift(make("th", { scope: "col", class: "plain" }, make("span", { class: "unseen" }, "Choose")));
    if (name === "jobs" || name === "failures") heads.push(make("th", { scope: "col", class: "plain" }, make("span", { class: "unseen" }, "More")));
    refill(table.head, ...heads);
    const rows = part.rows.flatMap((row) => line(name, part, row, choose));
    if (!rows.length) rows.push(make("tr", {}, make("td", { class: "none", colspan: heads.length }, part.empty)));
    refill(table.body, ...rows);
  }
  const WIDE = ["does", "what", "command", "params", "error"];
  function line(name, part, row, choose) {
    const cells = row.cells.map((cell, number) => {
      const column = part.columns[number];
      const given = typeof cell === "string" ? { text: cell } : cell;
      const kind = [column.number ? "number" : "", WIDE.includes(column.key) ? "wide" : ""].join(" ").trim();
      const made = make(number === 0 ? "th" : "td", number === 0 ? { scope: "row", class: kind } : { class: kind });
      const pill = column.key === "state";
      if (given.tone) made.append(make("span", { class: pill ? `pill ${given.tone}` : `toned ${given.tone}`, title: given.title }, given.text));
      else made.append(given.text);
      if (given.bar !== undefined) made.append(make("span", { class: "meter", style: `--part: ${100 * given.bar}%` }));
      return made;
    });
    if (choose) {
      const worker = (parts.workers || []).includes(row.id);
      cells.unshift(make("td", {}, ...(worker ? [make("input", { type: "checkbox", "aria-label": `Choose ${row.id}`, "data-key": `choose ${row.id}`,
        onchange: (event) => { event.target.checked ? chosen.add(row.id) : chosen.delete(row.id); count(); } })] : [])));
      if (worker) cells[0].firstChild.checked = chosen.has(row.id);
    }
    if (name === "jobs") {
      cells.push(make("td", {}, make("button", { type: "button", "data-key": `log ${row.id}`, "aria-label": `Log of job ${row.id}`,
        onclick: () => ask({ do: "job", job: Number(row.id) }) }, "Log")));
    }
    if (name !== "failures") return [make("tr", {}, ...cells)];
    const open = opened.has(row.id);
    cells.push(make("td", {}, make("button", { type: "button", "data-key": `more ${row.id}`, "aria-expanded": String(open),
      onclick: () => { open ? opened.delete(row.id) : opened.add(row.id); show.failures(parts.failures); } }, "Traceback")));
    const made = [make("tr", {}, ...cells)];
    if (open) made.push(make("tr", {}, make("td", { colspan: cells.length }, make("pre", { tabindex: "0" }, row.more))));
    return made;
  }
  function count() {
    const button = at("remove");
    button.disabled = chosen.size === 0;
    button.textContent = chosen.size ? `Remove ${chosen.size} chosen node${chosen.size > 1 ? "s" : ""} …` : "Remove chosen nodes …";
  }

  // --- what is asked again --------------------------------------------------------------------------
  const dialog = { what: "", from: null };
  const KINDS = {
    add: { title: (name) => `Add nodes to ${name}?`, label: "Add them", fields: [
      ["count", "How many", { type: "number", min: 1, max: 1000, step: 1, value: 1, required: true }],
      ["bid", "At most USD an hour each, as spot instances (empty: as the cluster's template says)", { type: "text", inputmode: "decimal", autocomplete: "off" }]] },
    remove: { title: () => `Remove ${[...chosen].sort().slice(0, 6).join(", ")}${chosen.size > 6 ? ` and ${chosen.size - 6} more` : ""}?`, label: "Remove", danger: true, fields: [] },
    abort: { title: () => `Abort the ${parts.search.kind}?`, label: "Abort the search", danger: true, fields: [] },
    postpone: { title: () => "Postpone autostop?", label: "Postpone", fields: [["time", "Another limit", { type: "text", autocomplete: "off" }]] },
    terminate: { title: (name) => `Terminate ${name}?`, label: "Terminate", danger: true, fields: [
      ["name", "Type the cluster's name", { type: "text", required: true, autocomplete: "off" }]] },
  };
  function open(what) {
    const kind = KINDS[what];
    Object.assign(dialog, { what, from: document.activeElement, search: parts.search?.id, nodes: [...chosen].sort() });
    set("dialog-title", kind.title(parts.head.name));
    at("dialog-words").replaceChildren(...parts.questions[what].map((one) => make("p", {}, one)));
    at("dialog-fields").replaceChildren(...kind.fields.map(([name, label, given]) =>
      make("label", {}, label, make("input", { name, ...given }))));
    at("dialog-error").textContent = "";
    at("dialog-do").textContent = kind.label;
    at("dialog-do").className = kind.danger ? "primary danger" : "primary";
    at("dialog-do").disabled = false;
    at("dialog").showModal();
    const field = at("dialog-fields").querySelector("input");
    (field || at("dialog-cancel")).focus();
    if (field) field.select();
  }
  at("dialog").querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (waiting !== null) return;
    const what = { do: dialog.what };
    for (const field of at("dialog-fields").querySelectorAll("input")) what[field.name] = field.value;
    if (dialog.what === "abort") what.search = dialog.search;
    if (dialog.what === "remove") what.nodes = dialog.nodes;
    at("dialog-error").textContent = bridge ? "" : "The dashboard is not connected.";
    if (!bridge) return;
    at("dialog-do").disabled = true;
    waiting = ask(what);
  });
  at("dialog-cancel").addEventListener("click", () => at("dialog").close());
  at("dialog").addEventListener("close", () => {
    waiting = null;
    const from = dialog.from;
    (from && from.isConnected && !from.disabled ? from : document.querySelector(`[data-action="${dialog.what}"]:not(:disabled)`) || at("main")).focus();
  });
  for (const button of document.querySelectorAll("[data-action]")) button.addEventListener("click", () => open(button.dataset.action));
  at("choice").addEventListener("change", (event) => ask({ do: "search", search: event.target.value }));
  at("parameter").addEventListener("change", (event) => ask({ do: "parameter", parameter: event.target.value }));
  at("close-log").addEventListener("click", () => { ask({ do: "job", job: null }); at("jobs").querySelector("[data-key^=log]")?.focus(); });

  // --- what comes -----------------------------------------------------------------------------------
  function take(news) {
    for (const [name, part] of Object.entries(news)) parts[name] = part;
    // In this order: rows ask what is among the workers.
    for (const name of ["workers", ...Object.keys(news).filter((one) => one !== "workers")]) {
      if (name in news && show[name]) show[name](news[name]);
    }
  }
  function hear() {
    if (!bridge.said) return;
    heard = Date.now() / 1000;
    performance.mark("update");
    const { parts: news } = JSON.parse(bridge.said);
    take(news);
    performance.measure("spotcluster update", "update");
    if (Object.keys(news).length === 0) return;
    document.documentElement.dataset.updates = Number(document.documentElement.dataset.updates || 0) + 1;
  }
  function tick() {
    const head = parts.head;
    if (!head) return;
    const now = Date.now() / 1000;
    const lost = now - heard > LATE;
    const late = now - head.taken > LATE;
    const ages = Object.entries(head.answered).map(([who, when]) => `${who} ${span(now - when)} ago`);
    set("age", ages.length ? `asked: ${ages.join(", ")}` : "being asked for the first time");
    const stale = at("stale");
    let text = head.gone;
    if (!text && late) text = `What is shown is old: the dashboard looked ${span(now - head.taken)} ago.`;
    if (lost) text = `What is shown is old: the dashboard has said nothing for ${span(now - heard)}. Where it has ended, start it again with \`spotcluster -r ${head.region} dashboard ${head.name}\`.`;
    if (stale.textContent !== text) stale.textContent = text;
    stale.hidden = !text;
    if (lost) comeBack();
  }
  let trying = false;
  async function comeBack() {
    if (trying || at("dialog").open) return;
    // A computer that is busy takes long to connect a page; one that is loaded anew would begin again.
    if (!bridge && Date.now() / 1000 - heard < SLOW) return;
    trying = true;
    try {
      // The server is there again, or this computer has slept: a new page knows everything.
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.ok && Date.now() / 1000 - heard > LATE) location.reload();
    } catch {
      // It is not there.
    }
    setTimeout(() => { trying = false; }, 3000);
  }
  function connect() {
    const found = window.Bokeh?.documents?.[0]?.get_model_by_name("bridge");
    if (!found) return setTimeout(connect, 30);
    bridge = found;
    bridge.properties.said.change.connect(hear);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const tell = () => ask({ do: "scheme", dark: scheme.matches });
    scheme.addEventListener("change", tell);
    tell();
    document.documentElement.dataset.connected = "yes";
  }
  take(JSON.parse(at("first").textContent));
  setInterval(tick, 1000);
  connect();
})();
