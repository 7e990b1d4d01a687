// What an exponential moving average remembers: the formulas of bnstudy/analysis/moving_average.py, which a test
// holds against these.
(() => {
  // Below this product of steps and rate the closed form of the age cancels, and its series is exact enough.
  const SHORT = 0.01;
  // From one minus the decay where that is exact.
  const rate = (decay) => -(decay < 0.5 ? Math.log(decay) : Math.log1p(decay - 1));
  const overExpm1 = (numerator, x) => (x > 700 ? 0 : numerator / Math.expm1(x));

  const halfLife = (decay) => Math.LN2 / rate(decay);
  const initialWeight = (decay, steps) => Math.exp(-steps * rate(decay));
  const meanAge = (decay, steps) => {
    const a = rate(decay);
    if (steps * a < SHORT) {
      return (steps - 1) / 2 - ((steps ** 2 - 1) * a) / 12 + ((steps ** 4 - 1) * a ** 3) / 720;
    }
    return overExpm1(1, a) - overExpm1(steps, steps * a);
  };
  const equalBatches = (decay, steps) => {
    const a = rate(decay);
    return Math.tanh((steps * a) / 2) / Math.tanh(a / 2);
  };
  const forgettingDecay = (steps, left) => Math.exp(Math.log(left) / steps);

  // The averages of a series, after each of its values; `start` is the initial value.
  const averages = (values, decay, start) => {
    let average = start;
    return values.map((value) => (average -= (average - value) * (1 - decay)));
  };
  // The same without the initial value: from 0, divided by the weight that the values have.
  const debiased = (values, decay) =>
    averages(values, decay, 0).map((average, i) => average / -Math.expm1(-(i + 1) * rate(decay)));

  window.movingAverage = {
    halfLife, initialWeight, meanAge, equalBatches, forgettingDecay, averages, debiased,
  };
})();
