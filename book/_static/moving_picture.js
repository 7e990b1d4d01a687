// The moving picture of bnstudy.chapters.moving_picture: what was recorded is embedded as JSON, and the averages of
// the decay that is chosen are computed from the recorded batch moments, as the layer does.
(() => {
  const SECONDS = 14; // a whole training, as it plays
  const TALL = 92; // of a panel
  const LEFT = 44; // room for numbers beside an axis
  const GAP = 34;
  const REACH = 7; // how many standard deviations to either side are drawn behind batch norm

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const decimal = (x) => String(Number(x.toPrecision(12)));
  const two = (x) => (Math.round(x * 100) / 100 + 0).toFixed(2);
  const three = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

  // Both moving moments after every step: TensorFlow's start of 0 and 1, or neither.
  const follow = (data, decay, debias) => {
    const { averages, debiased } = window.movingAverage;
    return debias
      ? { mean: debiased(data.mean, decay), variance: debiased(data.variance, decay) }
      : { mean: averages(data.mean, decay, 0), variance: averages(data.variance, decay, 1) };
  };

  // What batch norm gives out, of what has the batch's moments, if it goes by the moving ones.
  const output = (data, moving, at) => {
    const scale = Math.sqrt(moving.variance[at] + data.epsilon);
    return { mean: (data.mean[at] - moving.mean[at]) / scale, std: Math.sqrt(data.variance[at]) / scale };
  };

  window.movingPicture = { follow, output };

  const start = (box) => {
    const data = JSON.parse(box.querySelector("script").textContent);
    const words = data.words;
    const steps = data.mean.length;
    const [step, decay, debias, play] = ["step", "decay", "debias", "play"].map((name) => box.querySelector(`.${name}`));
    const [stepSaid, decaySaid] = [step, decay].map((input) => input.parentElement.querySelector("output"));
    const svg = box.querySelector(".drawing");
    const seen = box.querySelector(".seen");
    let moving = null;
    let playing = 0; // the request for the next picture, while it plays
    let touched = false;

    const chosen = () => {
      const momentum = Number((10 ** (-decay.value / 25)).toPrecision(2));
      return { decay: Number((1 - momentum).toPrecision(12)), momentum };
    };

    const span = (lists) => {
      const all = lists.flat();
      return [Math.min(...all), Math.max(...all)];
    };
    const line = (xs, ys) => ys.map((y, i) => `${i ? "L" : "M"}${xs(i).toFixed(1)} ${y.toFixed(1)}`).join("");

    // Each panel's part of the drawing, from its top on, as SVG.
    const overTime = (name, top, width, at) => {
      const [low, high] = span([data[name], moving[name]]);
      const x = (i) => LEFT + (i / (steps - 1)) * (width - LEFT - 2);
      const y = (v) => top + TALL - ((v - low) / (high - low)) * TALL;
      const batch = line(x, data[name].map(y));
      const drawn = moving[name].map(y);
      return (
        `<text x="${LEFT}" y="${top - 8}">${words[name]}: <tspan class="batch-label">${words.batch}</tspan>, ` +
        `<tspan class="moving-label">${words.moving}</tspan></text>` +
        `<path class="axis" d="M${LEFT} ${top}V${top + TALL}H${width - 2}"/>` +
        `<text x="${LEFT - 4}" y="${top + 10}" text-anchor="end">${three.format(high)}</text>` +
        `<text x="${LEFT - 4}" y="${top + TALL}" text-anchor="end">${three.format(low)}</text>` +
        `<path class="batch ahead" d="${batch}"/><path class="moving ahead" d="${line(x, drawn)}"/>` +
        `<path class="batch" d="${line(x, data[name].slice(0, at + 1).map(y))}"/>` +
        `<path class="moving" d="${line(x, drawn.slice(0, at + 1))}"/>` +
        `<path class="axis" d="M${x(at).toFixed(1)} ${top}V${top + TALL}"/>`
      );
    };

    // The outline of a histogram whose edges are moved and stretched.
    const outline = (counts, edge, x, y) => {
      let d = `M${x(edge(0)).toFixed(1)} ${y(0).toFixed(1)}`;
      counts.forEach((count, i) => {
        d += `V${y(count).toFixed(1)}H${x(edge(i + 1)).toFixed(1)}`;
      });
      return `${d}V${y(0).toFixed(1)}`;
    };

    const histograms = (top, width, at) => {
      const counts = data.histograms[Math.min(Math.floor(at / 2), data.histograms.length - 1)];
      // A batch of another size, as an epoch's last, is drawn as high as the others.
      const most = Math.max(...counts);
      const edge = (i) => data.low + (i / counts.length) * (data.high - data.low);
      const half = (width - GAP) / 2;
      const panel = (left, low, high, title, name) => {
        const x = (v) => left + ((Math.min(Math.max(v, low), high) - low) / (high - low)) * half;
        const ticks = [low, (low + high) / 2, high].map((v, i) => {
          const anchor = ["start", "middle", "end"][i];
          return `<text x="${x(v)}" y="${top + TALL + 16}" text-anchor="${anchor}">${three.format(v)}</text>`;
        });
        const axis = `<path class="axis" d="M${left} ${top + TALL}H${left + half}"/>`;
        return { x, svg: `<text x="${left}" y="${top - 8}">${title}</text>${axis}${ticks.join("")}`, name };
      };
      const tall = (weight) => (count) => top + TALL - (count / most) * TALL * weight;
      const before = panel(1, data.low, data.high, words.before);
      const after = panel(half + GAP, -REACH, REACH, words.after);
      const normal = (mean, variance) => (i) => (edge(i) - mean) / Math.sqrt(variance + data.epsilon);
      const own = normal(data.mean[at], data.variance[at]);
      const by = normal(moving.mean[at], moving.variance[at]);
      // Equal areas: what is drawn narrower is higher, up to the panel's height.
      const width1 = own(1) - own(0);
      const width2 = by(1) - by(0);
      const [high1, high2] = [Math.min(width1, width2) / width1, Math.min(width1, width2) / width2];
      const upright = (x, v, kind) => `<path class="${kind}" d="M${x(v).toFixed(1)} ${top}V${top + TALL}"/>`;
      return (
        before.svg + `<path class="bars" d="${outline(counts, edge, before.x, tall(1))}"/>` +
        upright(before.x, data.mean[at], "batch") + upright(before.x, moving.mean[at], "moving") +
        after.svg + `<path class="bars" d="${outline(counts, own, after.x, tall(high1))}"/>` +
        `<path class="moving" d="${outline(counts, by, after.x, tall(high2))}"/>`
      );
    };

    const draw = () => {
      const at = step.value - 1;
      const width = Math.max(280, Math.round(svg.getBoundingClientRect().width) || 600);
      const tops = [24, 24 + TALL + GAP, 24 + 2 * (TALL + GAP)];
      const tall = tops[2] + TALL + 46;
      svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
      svg.setAttribute("height", tall);
      svg.innerHTML =
        overTime("mean", tops[0], width, at) + overTime("variance", tops[1], width, at) +
        histograms(tops[2] + 6, width, at) +
        `<text x="${width - 1}" y="${tall - 6}" text-anchor="end" class="batch-label">${words.training}</text>` +
        `<text x="1" y="${tall - 6}" class="moving-label">${words.evaluation}</text>`;
      const { decay: d, momentum } = chosen();
      stepSaid.textContent = fill(words.step, { step: at + 1, steps });
      decaySaid.textContent = fill(words.decay, {
        decay: decimal(d), momentum: decimal(momentum), half: three.format(window.movingAverage.halfLife(d)),
      });
      step.setAttribute("aria-valuetext", stepSaid.textContent);
      decay.setAttribute("aria-valuetext", decaySaid.textContent);
      const out = output(data, moving, at);
      const left = 100 * window.movingAverage.initialWeight(d, at + 1);
      seen.textContent = fill(words.seen, {
        step: at + 1, mean: two(data.mean[at]), moving: two(moving.mean[at]),
        off: two(Math.abs(data.mean[at] - moving.mean[at]) / Math.sqrt(data.variance[at])),
        left: debias.checked ? words.debiased : fill(words.left, { left: left < 0.05 ? "0.0" : three.format(left) }),
        out_mean: two(out.mean), out_std: two(out.std),
      });
      if (!playing) svg.setAttribute("aria-label", seen.textContent);
    };

    const refollow = () => {
      moving = follow(data, chosen().decay, debias.checked);
      draw();
    };

    const pause = () => {
      cancelAnimationFrame(playing);
      playing = 0;
      play.textContent = words.play;
      draw();
    };
    const run = () => {
      if (Number(step.value) >= steps) step.value = 1;
      const [from, began] = [Number(step.value), performance.now()];
      play.textContent = words.pause;
      const next = (now) => {
        const at = from + Math.floor((Math.max(0, now - began) / 1000 / SECONDS) * steps);
        step.value = Math.min(at, steps);
        if (at >= steps) return pause();
        draw();
        playing = requestAnimationFrame(next);
      };
      playing = requestAnimationFrame(next);
    };

    play.addEventListener("click", () => (playing ? pause() : run()));
    step.addEventListener("input", pause);
    decay.addEventListener("input", refollow);
    debias.addEventListener("input", refollow);
    window.addEventListener("resize", draw);
    window.addEventListener("pageshow", refollow);

    box.addEventListener("input", () => (touched = true));
    box.addEventListener("click", () => (touched = true));

    box.querySelector(".still").hidden = true;
    box.querySelector(".live").hidden = false;
    refollow();

    // It plays once when it is first seen, but for those who asked for less motion.
    if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const watcher = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      if (playing || touched) return;
      step.value = 1;
      run();
    }, { threshold: 0.6 });
    watcher.observe(svg);
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const box of document.querySelectorAll(".moving-picture")) start(box);
  });
})();
