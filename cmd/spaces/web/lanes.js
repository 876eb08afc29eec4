// Who spoke when, as pictures and as answers. A person is one of timeline.json: speaking is a list of [from, to] in
// seconds, peaks are the levels of seconds in dBov.

const COLUMNS = 600;     // more cannot be told apart on a screen
const QUIETEST_DB = -60; // draws as nothing, 0 dBov as the whole height

// rect is a piece of an SVG path around the middle of a lane whose height is 1.
const rect = (from, to, height) => `M${from.toFixed(2)} ${(0.5 - height / 2).toFixed(3)}H${to.toFixed(2)}v${height.toFixed(3)}H${from.toFixed(2)}z`;

// bars are the levels, the loudest in each column.
function bars(peaks, span) {
  const width = Math.max(1, span / COLUMNS);
  const columns = new Map();
  for (const { second, dbov } of peaks) {
    dbov.forEach((db, i) => {
      const column = Math.floor((second + i) / width);
      columns.set(column, Math.max(columns.get(column) ?? QUIETEST_DB, db));
    });
  }
  return [...columns].filter(([, db]) => db > QUIETEST_DB)
    .map(([c, db]) => rect((c + 0.1) * width, (c + 0.9) * width, Math.max(0.08, 1 - db / QUIETEST_DB))).join('');
}

// drawLane draws one person's part of span seconds.
export function drawLane(svg, person, span) {
  const key = JSON.stringify([span, person.speaking, person.peaks]);
  if (svg.dataset.key === key) return;
  svg.dataset.key = key;
  svg.setAttribute('viewBox', `0 0 ${span} 1`);
  const least = span / COLUMNS; // A single word in three hours is to be seen.
  const spans = (person.speaking ?? []).map(([from, to]) => rect(from, Math.max(to, from + least), 1)).join('');
  const path = (d, kind) => {
    const p = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    p.setAttribute('d', d);
    p.setAttribute('class', kind);
    return p;
  };
  svg.replaceChildren(path(spans, 'span'), path(bars(person.peaks ?? [], span), 'bar-of-sound'));
}

// within tells whether a time lies in one of the intervals, which are in order.
function within(intervals, at) {
  let [low, high] = [0, intervals.length];
  while (low < high) {
    const mid = (low + high) >> 1;
    if (intervals[mid][1] <= at) low = mid + 1;
    else high = mid;
  }
  return low < intervals.length && intervals[low][0] <= at;
}

// speakersAt is who speaks at a time.
export function speakersAt(people, at) {
  return new Set(people.filter((p) => within(p.speaking ?? [], at)).map((p) => p.person));
}

// nearest is where the next of the intervals begins behind a time, or the first.
export function nearest(intervals, at) {
  return intervals.find(([from]) => from > at + 0.5)?.[0] ?? intervals[0]?.[0] ?? at;
}
