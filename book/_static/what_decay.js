// The calculator of "What decay should I use?". Its numbers come from bnstudy.chapters.what_decay, embedded as JSON;
// its formulas are those of moving_average.js. The address keeps the inputs.
(() => {
  const MOST_STEPS = 1e9;
  const FAR = 4; // a ratio from which on a recorded loss says no more than a direction

  // The recorded loss nearest to some inputs: bnstudy.chapters.what_decay.losses.nearest.
  const nearest = (losses, { steps, decay, batch, schedule }) => {
    const apart = (a, b) => Math.abs(Math.log(a / b));
    let best = null;
    let least = [Infinity, 0];
    for (const loss of losses) {
      if (loss.schedule !== schedule) continue;
      const sum = apart(loss.steps, steps) + apart(loss.batch_size, batch) + apart(1 - loss.decay, 1 - decay);
      const distance = [Math.round(sum * 1e9), -loss.seeds];
      if (distance[0] < least[0] || (distance[0] === least[0] && distance[1] < least[1])) {
        [best, least] = [loss, distance];
      }
    }
    return best;
  };

  // The others that any inputs are as near to: bnstudy.chapters.what_decay.losses.as_near.
  const asNear = (losses, found) =>
    losses.filter(
      (loss) =>
        loss !== found && ["schedule", "batch_size", "steps", "decay"].every((key) => loss[key] === found[key]),
    );

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const rounded = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const number = (x) => (x >= 1000 ? whole : rounded).format(x);
  const decimal = (x) => String(Number(x.toPrecision(12)));
  const points = ([mean, low, high]) => {
    const [m, l, h] = [mean, low, high].map((x) => (Math.round(x * 10) / 10 + 0).toFixed(1));
    return `${m} [${l}, ${h}]`;
  };
  // One minus a decay, to two digits, such that the decay is no larger than it was.
  const coarser = (decay) => {
    const unit = 10 ** (Math.floor(Math.log10(1 - decay)) - 1);
    return Math.ceil((1 - decay) / unit - 1e-9) * unit;
  };

  window.whatDecay = { asNear, nearest };

  const start = (box) => {
    const { losses, words } = JSON.parse(box.querySelector("script").textContent);
    const form = box.querySelector("form");
    const inputs = form.elements;
    const refused = box.querySelector(".refused");
    const label = (name) => box.querySelector(`label[for="${inputs[name].id}"]`).textContent;

    // Each input's text, and what it has to be.
    const count = (x) => Number.isInteger(x) && x >= 1 && x <= MOST_STEPS;
    const kinds = {
      steps: [count, "whole"],
      batch: [count, "whole"],
      decay: [(x) => x >= 0 && x < 1, "share"],
      momentum: [(x) => x > 0 && x <= 1, "part"],
    };
    const read = (name) => {
      const text = inputs[name].value.trim().replace(/(\d),(?=\d{3}\b)/g, "$1");
      return text === "" ? NaN : Number(text);
    };
    const wrong = () => Object.keys(kinds).find((name) => !kinds[name][0](read(name)));

    const images = (steps, batch) => ({ n: number(steps), images: number(steps * batch) });
    const weight = (share) =>
      100 * share < 0.01 ? words.below : fill(words.percent, { n: rounded.format(100 * share) });

    const answer = (name, text) => {
      box.querySelector(`[data-answer="${name}"]`).textContent = text;
    };

    const tell = (asked) => {
      const { steps, decay, batch, schedule } = asked;
      const { halfLife, initialWeight, meanAge, equalBatches, forgettingDecay } = window.movingAverage;
      answer("half", fill(words.steps, images(halfLife(decay), batch)));
      answer("left", weight(initialWeight(decay, steps)));
      answer("age", fill(words.ago, images(meanAge(decay, steps), batch)));
      answer("equal", fill(words.batches, images(equalBatches(decay, steps), batch)));
      const momentum = Math.min(1, coarser(forgettingDecay(steps, 0.01)));
      box.querySelector(".forgets").textContent = fill(words.forgets, {
        steps: number(steps), decay: decimal(1 - momentum), momentum: decimal(momentum),
      });

      const found = nearest(losses, asked);
      const said = box.querySelector(".nearest");
      const apart = box.querySelector(".apart");
      const table = box.querySelector(".table");
      table.hidden = apart.hidden = found === null;
      if (found === null) {
        said.textContent = words.none;
        return;
      }
      const scheduleSaid = form.querySelector(`[name=schedule][value=${schedule}]`).parentElement.textContent;
      const values = {
        decay: decimal(found.decay), steps: number(found.steps), batch: number(found.batch_size),
        schedule: scheduleSaid.trim(), rate: decimal(found.learning_rate), plain: points(found.plain), seeds: found.seeds,
        debiased: found.debiased && points(found.debiased),
      };
      said.textContent =
        fill(words.nearest, values) + (found.debiased ? fill(words.debiased, values) : "") + fill(words.end, values) +
        asNear(losses, found)
          .map((loss) => fill(words.also, { rate: decimal(loss.learning_rate), plain: points(loss.plain) }))
          .join("");

      const ratios = {
        ratio_steps: steps / found.steps,
        ratio_batch: batch / found.batch_size,
        ratio_back: (1 - found.decay) / (1 - decay),
      };
      const differ = Object.entries(ratios).filter(([, ratio]) => Math.abs(Math.log(ratio)) > 0.005);
      const list = differ.map(([key, ratio]) => fill(words[key], { ratio: rounded.format(ratio) })).join(words.and);
      const far = differ.some(([, ratio]) => Math.max(ratio, 1 / ratio) > FAR);
      const there = weight(initialWeight(found.decay, found.steps));
      const here = weight(initialWeight(decay, steps));
      apart.textContent = list
        ? fill(words.apart, { list }) + (there === here ? "" : fill(words.left, { there, here })) + (far ? words.far : "")
        : words.same;
      const link = document.createElement("a");
      link.href = `${found.page}.html`;
      link.textContent = words.records;
      apart.append(" ", link);

      const alike = (loss) =>
        ["study", "schedule", "batch_size", "steps", "learning_rate"].every((key) => loss[key] === found[key]);
      table.querySelector("tbody").replaceChildren(
        ...losses.filter(alike).map((loss) => {
          const row = document.createElement("tr");
          if (loss === found) row.setAttribute("aria-current", "true");
          const cells = [
            decimal(loss.decay), decimal(1 - loss.decay), points(loss.plain),
            loss.debiased ? points(loss.debiased) : "–",
          ];
          for (const [i, text] of cells.entries()) {
            const cell = row.appendChild(document.createElement(i ? "td" : "th"));
            if (!i) cell.scope = "row";
            cell.textContent = text;
          }
          return row;
        }),
      );
    };

    const show = () => {
      const name = wrong();
      for (const key of Object.keys(kinds)) inputs[key].setAttribute("aria-invalid", String(key === name));
      box.querySelector(".found").hidden = name !== undefined;
      refused.textContent = name
        ? fill(words.bad, { name: label(name), value: inputs[name].value, allowed: words[kinds[name][1]] })
        : "";
      if (name) return;
      const asked = {
        steps: read("steps"), decay: read("decay"), batch: read("batch"), schedule: inputs.schedule.value,
      };
      inputs.slide.value = Math.round(-25 * Math.log10(1 - asked.decay));
      inputs.slide.setAttribute("aria-valuetext", decimal(asked.decay));
      tell(asked);
      const keeps = `#${new URLSearchParams({ ...asked, decay: inputs.decay.value.trim() })}`;
      box.querySelector(".keeps").href = keeps;
      return keeps;
    };

    // The two names of one number follow each other; a number that can't be is left for the message.
    const follow = (changed) => {
      const other = { decay: "momentum", momentum: "decay" }[changed];
      if (changed === "slide") {
        const momentum = Number((10 ** (-inputs.slide.value / 25)).toPrecision(2));
        inputs.momentum.value = decimal(momentum);
        inputs.decay.value = decimal(1 - momentum);
      } else if (other && kinds[changed][0](read(changed))) {
        inputs[other].value = decimal(1 - read(changed));
      }
    };

    const load = () => {
      const kept = new URLSearchParams(location.hash.slice(1));
      if (!["steps", "batch", "decay", "schedule"].some((name) => kept.has(name))) return;
      for (const name of ["steps", "batch", "decay"]) if (kept.has(name)) inputs[name].value = kept.get(name);
      const radio = [...inputs.schedule].find((one) => one.value === kept.get("schedule"));
      if (radio) radio.checked = true;
      follow("decay");
    };

    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      follow(event.target.name);
      const keeps = show();
      if (keeps) history.replaceState(null, "", keeps);
    });
    window.addEventListener("hashchange", () => {
      load();
      show();
    });
    box.hidden = false;
    load();
    show();
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const box of document.querySelectorAll(".decay-calculator")) start(box);
  });
})();
