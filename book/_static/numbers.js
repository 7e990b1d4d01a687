// Opens a number: its seeds, its formula in words, the rows behind it, its records, and a copy with citation. Without
// script a number is a plain link to the list of its records.
(() => {
  const WORDS = {
    en: {
      dialog: "What is behind this number",
      close: "Close",
      seed: "seed",
      value: "value",
      records: "records",
      mean: (n) => `Mean of ${n} ${n === 1 ? "seed" : "seeds"}`,
      geometric: (n) => `Geometric mean of ${n} ${n === 1 ? "seed" : "seeds"}`,
      interval: (level, method) => `${level} % interval${method ? ` (${method})` : ""}`,
      bound: { above: "asked: above", below: "asked: below", within: "asked: within ±" },
      rows: "The rows, seed by seed",
      first: "one",
      second: "other",
      all: "list of the records",
      zip: "all records of the book (ZIP)",
      described: "datapackage.json",
      copy: "Copy with citation",
      copied: "Copied",
      failed: "Copying failed: select the text and copy it",
      dots: (list) => `Values by seed: ${list}.`,
      several: (n) => `${n} records`,
      points: "points",
      times: "×",
    },
    zh: {
      dialog: "这个数字的来历",
      close: "关闭",
      seed: "随机种子",
      value: "值",
      records: "记录",
      mean: (n) => `${n} 个随机种子的均值`,
      geometric: (n) => `${n} 个随机种子的几何平均`,
      interval: (level, method) =>
        `${level}% 置信区间${method ? `（${method === "Student's t" ? "t 分布" : "学生化自助法"}）` : ""}`,
      bound: { above: "要求：高于 ", below: "要求：低于 ", within: "要求：不超出 ±" },
      rows: "逐个种子的数据",
      first: "其一",
      second: "其二",
      all: "记录列表",
      zip: "全书记录（ZIP）",
      described: "datapackage.json",
      copy: "复制并附引用",
      copied: "已复制",
      failed: "未能复制，请选中文字后手动复制",
      dots: (list) => `各随机种子的值：${list}。`,
      several: (n) => `${n} 条记录`,
      from: (n) => `来自 ${n} 条记录`,
      points: "个百分点",
      times: "倍",
    },
  };
  const DELAY = { open: 250, close: 250 };
  const SVG = "http://www.w3.org/2000/svg";
  const chinese = document.documentElement.lang.startsWith("zh");
  const words = chinese ? WORDS.zh : WORDS.en;
  const root = document.documentElement.dataset.content_root || "../";

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const draw = (tag, attributes) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  // Digits as they were sent, with the sign that says whether it is a difference.
  const written = (value, scale) => {
    if (value === null || value === undefined) return "–";
    const text = String(value);
    if (scale === "points") return `${value > 0 ? "+" : ""}${text} ${words.points}`;
    if (scale === "percent" || scale === "share") return `${text} %`;
    return scale === "factor" ? `${text} ${words.times}` : text;
  };
  const bare = (value, scale) => (value > 0 && scale === "points" ? `+${value}` : String(value ?? "–"));

  // The seeds' dots above the interval; the bound that was asked for as a dashed line.
  const plot = (behind) => {
    const place = behind.scale === "factor" ? Math.log : (x) => x;
    const known = behind.values.filter((value) => value !== null && (behind.scale !== "factor" || value > 0));
    const ends = behind.interval.filter((end) => end !== null && (behind.scale !== "factor" || end > 0));
    const marks = [...known, ...ends];
    if (behind.bound && behind.bound[0] !== "within") marks.push(behind.bound[1]);
    const places = marks.map(place);
    const low = Math.min(...places);
    const span = Math.max(...places) - low || 1;
    const x = (value) => 12 + (276 * (place(value) - low)) / span;
    const list = behind.values.map((v) => written(v, behind.scale)).join(chinese ? "，" : ", ");
    const svg = draw("svg", { viewBox: "0 0 300 56", role: "img", "aria-label": words.dots(list) });
    const [mean, from, to] = behind.interval;
    if (from !== null && to !== null) {
      svg.append(draw("line", { x1: x(from), x2: x(to), y1: 34, y2: 34, class: "interval" }));
    }
    if (behind.bound && behind.bound[0] !== "within") {
      const at = x(behind.bound[1]);
      svg.append(draw("line", { x1: at, x2: at, y1: 4, y2: 44, class: "bound" }));
    }
    if (mean !== null) svg.append(draw("circle", { cx: x(mean), cy: 34, r: 4.5, class: "mean" }));
    // Equal values stand beside each other in height, so that five of them are seen as five.
    const seen = new Map();
    for (const value of known) {
      const at = Math.round(x(value) / 4);
      const above = seen.get(at) || 0;
      seen.set(at, above + 1);
      svg.append(draw("circle", { cx: x(value), cy: 24 - 5 * Math.min(above, 4), r: 3, class: "seed" }));
    }
    const label = (value, anchor) => {
      const text = draw("text", { x: x(value), y: 54, "text-anchor": anchor });
      text.textContent = bare(value, behind.scale);
      svg.append(text);
    };
    const inOrder = [...marks].sort((a, b) => a - b);
    label(inOrder[0], "start");
    if (inOrder.length > 1) label(inOrder[inOrder.length - 1], "end");
    return svg;
  };

  const recordLink = (run) =>
    make("a", { href: `${root}records/runs/${run}/record.json`, class: "record" }, run.slice(0, 8));

  const recordsCell = (runs) => {
    const cell = make("td");
    if (runs.length <= 2) {
      runs.forEach((run, i) => cell.append(i ? " " : "", recordLink(run)));
      return cell;
    }
    const list = make("details", {}, make("summary", {}, words.several(runs.length)));
    runs.forEach((run, i) => list.append(i ? " " : "", recordLink(run)));
    cell.append(list);
    return cell;
  };

  const table = (behind) => {
    const paired = Boolean(behind.first);
    const names = behind.names ? behind.names[chinese ? 1 : 0] : [words.first, words.second];
    const value = behind.values ? [words.value] : [];
    const heads = [words.seed, ...(paired ? names : []), ...value, ...(behind.runs ? [words.records] : [])];
    const header = make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)));
    const body = make("tbody");
    (behind.values || behind.seeds).forEach((value, i) => {
      const row = make("tr", {}, make("th", { scope: "row" }, String(behind.seeds ? behind.seeds[i] : i + 1)));
      const plain = behind.scale === "points" ? "number" : behind.scale;
      if (paired) {
        row.append(make("td", {}, bare(behind.first[i], plain)), make("td", {}, bare(behind.second[i], plain)));
      }
      if (behind.values) row.append(make("td", {}, bare(value, behind.scale)));
      if (behind.runs) row.append(recordsCell(behind.runs[i]));
      body.append(row);
    });
    const scroll = make("div", { class: "rows", tabindex: "0", role: "region", "aria-label": words.rows });
    scroll.append(make("table", {}, make("thead", {}, header), body));
    return scroll;
  };

  // Where nobody wrote a formula, the sentence that the number stands in says what it is.
  const sentence = (link) => {
    const block = link.closest("p, li, dd");
    if (!block) return "";
    const sentences = block.innerText.split(/(?<=[.!?])\s+(?=\p{Lu})|(?<=[。！？])|\n+/u);
    const said = sentences.find((one) => one.includes(link.innerText.trim())) || "";
    return said.trim().length > link.innerText.trim().length ? said.trim() : "";
  };

  const formula = (link, behind) => {
    const told = (behind?.formula && behind.formula[chinese ? 1 : 0]) || sentence(link);
    const said = told.slice(0, 1).toUpperCase() + told.slice(1);
    if (!behind) return [said].filter(Boolean);
    const count = behind.values ? behind.values.length : 0;
    const [mean, from, to] = behind.interval;
    const what = behind.scale === "factor" ? words.geometric(count) : words.mean(count);
    const how = count ? `${what}${chinese ? "：" : ": "}${written(mean, behind.scale)}` : "";
    const between =
      from !== null && to !== null
        ? `${words.interval(behind.level, behind.method)}${chinese ? "：" : ": "}${bare(from, behind.scale)} ${chinese ? "至" : "to"} ${bare(to, behind.scale)}`
        : "";
    const bound = behind.bound
      ? `${words.bound[behind.bound[0]]}${chinese || behind.bound[0] === "within" ? "" : " "}${written(behind.bound[1], behind.scale)}`
      : "";
    return [said, [how, between, bound].filter(Boolean).join(chinese ? "；" : "; ")].filter(Boolean);
  };

  const citation = (link, behind) => {
    const said = formula(link, behind).join(chinese ? "。" : ". ");
    const built = document.querySelector("[data-citation]")?.dataset.citation || document.title;
    const address = location.href.split("#")[0];
    const behindIt = said && (chinese ? `（${said}）` : ` (${said})`);
    return [`${link.textContent.trim()}${behindIt}`, link.dataset.title, `${built} ${address}`]
      .filter(Boolean)
      .join("\n");
  };

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // A browser may keep the clipboard from pages that lie in a folder.
      const area = make("textarea", { "aria-hidden": "true", class: "to-copy" });
      area.value = text;
      box.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  };

  let box = null;
  let opened = null;
  let pinned = false;
  let timer = 0;

  const fill = (link) => {
    const behind = link.dataset.behind ? JSON.parse(link.dataset.behind) : null;
    const head = make("p", { class: "said", id: "number-said" }, link.textContent.trim());
    const close = make("button", { type: "button", class: "close", "aria-label": words.close }, "×");
    close.addEventListener("click", () => shut(true));
    box.replaceChildren(close, head);
    for (const line of formula(link, behind)) box.append(make("p", { class: "formula" }, line));
    if (behind) {
      if (behind.values) box.append(plot(behind));
      if (behind.values || behind.runs) box.append(table(behind));
    }
    const button = make("button", { type: "button", class: "copy" }, words.copy);
    const told = make("span", { role: "status" });
    button.addEventListener("click", async () => {
      told.textContent = (await copy(citation(link, behind))) ? words.copied : words.failed;
      button.focus();
    });
    const [from, named] = link.dataset.title.split(/: |：/);
    const count = Number((from.match(/\d+/) || [0])[0]);
    const leads = chinese && count ? words.from(count) : from || words.all;
    // What nobody noted by seed: the names, if they are few.
    if (named && !(behind && behind.runs)) {
      const list = make("p", { class: "links" });
      named.split(", ").forEach((run, i) => list.append(i ? " " : "", /^[0-9a-f]{16}$/.test(run) ? recordLink(run) : run));
      box.append(list);
    }
    const links = make(
      "p",
      { class: "links" },
      make("a", { href: link.href }, leads),
      " · ",
      make("a", { href: `${root}records/records.zip`, download: "" }, words.zip),
      " · ",
      make("a", { href: `${root}records/datapackage.json` }, words.described),
    );
    box.append(links, make("p", { class: "copying" }, button, " ", told));
  };

  const placeAt = (link) => {
    box.style.left = box.style.top = "";
    if (matchMedia("(max-width: 600px)").matches) return; // the style sheet puts it at the foot
    const at = link.getClientRects()[0] || link.getBoundingClientRect();
    const size = box.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - size.width - 8));
    const below = at.bottom + 4;
    const fits = below + size.height <= innerHeight - 8 || at.top < innerHeight - at.bottom;
    const top = fits ? below : Math.max(8, at.top - size.height - 4);
    box.style.left = `${left}px`;
    box.style.top = `${Math.min(top, Math.max(8, innerHeight - size.height - 8))}px`;
  };

  const open = (link, pin) => {
    clearTimeout(timer);
    if (opened !== link) {
      shut(false);
      if (!box) {
        box = make("div", { role: "dialog", class: "behind", "aria-label": words.dialog, tabindex: "-1" });
        box.addEventListener("pointerenter", () => clearTimeout(timer));
        box.addEventListener("pointerleave", later);
        box.addEventListener("keydown", keys);
        (document.querySelector("main") || document.body).append(box);
      }
      opened = link;
      box.hidden = false;
      fill(link);
      placeAt(link);
      link.setAttribute("aria-expanded", "true");
    }
    pinned = pinned || pin;
    if (pin) box.querySelector(".close").focus({ preventScroll: true });
  };

  const shut = (back) => {
    clearTimeout(timer);
    if (!opened) return;
    const link = opened;
    opened = null;
    pinned = false;
    box.hidden = true;
    link.setAttribute("aria-expanded", "false");
    if (back) {
      returning = true;
      link.focus({ preventScroll: true });
      returning = false;
    }
  };

  const later = () => {
    clearTimeout(timer);
    if (opened && !pinned) timer = setTimeout(() => shut(false), DELAY.close);
  };

  // Tab goes round neither the page nor the box: behind its last link comes the number again.
  const keys = (event) => {
    if (event.key !== "Tab") return;
    const stops = [...box.querySelectorAll("button, a[href], summary, [tabindex='0']")].filter(
      (stop) => stop.getClientRects().length,
    );
    const edge = event.shiftKey ? stops[0] : stops[stops.length - 1];
    if (document.activeElement === edge || document.activeElement === box) {
      event.preventDefault();
      shut(true);
    }
  };

  let returning = false;
  let byPointer = false;

  document.addEventListener("DOMContentLoaded", () => {
    for (const link of document.querySelectorAll("a.number")) {
      // The title would lie over the box; its first words are said within.
      link.dataset.title = link.getAttribute("title") || "";
      link.removeAttribute("title");
      link.setAttribute("aria-haspopup", "dialog");
      link.setAttribute("aria-expanded", "false");
    }
    const number = (event) => (event.target instanceof Element ? event.target.closest("a.number") : null);
    document.addEventListener("pointerover", (event) => {
      const link = number(event);
      if (!link || event.pointerType !== "mouse" || pinned || link === opened) return;
      clearTimeout(timer);
      timer = setTimeout(() => open(link, false), DELAY.open);
      link.addEventListener("pointerleave", later, { once: true });
    });
    document.addEventListener("pointerdown", (event) => {
      byPointer = true;
      if (opened && !box.contains(event.target) && number(event) !== opened) shut(false);
    });
    document.addEventListener("pointerup", () => setTimeout(() => (byPointer = false)));
    document.addEventListener("focusin", (event) => {
      const link = number(event);
      if (link && !returning && !byPointer) open(link, false);
      else if (opened && !box.contains(event.target) && event.target !== opened) shut(false);
    });
    document.addEventListener("click", (event) => {
      const link = number(event);
      // With a modifier it is a link like any other.
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      open(link, true);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && opened) shut(box.contains(document.activeElement) || pinned);
    });
    addEventListener("resize", () => opened && placeAt(opened));
    addEventListener("scroll", () => opened && !pinned && !box.contains(document.activeElement) && placeAt(opened), {
      passive: true,
    });
  });
})();
