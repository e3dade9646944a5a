const dialog = document.querySelector('dialog');
const place = dialog.querySelector('.place');
let open = null;

// A run shows its newest checkpoint that is not younger than asked for.
function newest(times, now) {
  return Math.max(0, times.filter((time) => time <= now).length - 1);
}

function show(run) {
  for (const part of run.querySelectorAll('[data-at]')) {
    part.hidden = !part.dataset.at.split(' ').includes(run.dataset.shown);
  }
}

function enlarge(row) {
  open = row;
  const large = row.cloneNode(true);
  large.removeAttribute('tabindex');
  const rows = row.closest('.rows');
  large.style.cssText = rows.style.cssText;
  place.replaceChildren(large);
  dialog.querySelector('.name').textContent = row.dataset.name;
  const range = row.closest('.albums')?.querySelector('input');
  if (range) {
    const copy = range.closest('label').cloneNode(true);
    const times = document.createElement('div');
    times.className = 'times';
    times.append(copy);
    const input = copy.querySelector('input');
    input.value = range.value;
    input.addEventListener('input', () => {
      range.value = input.value;
      range.dispatchEvent(new Event('input'));
      input.focus();
    });
    place.prepend(times);
  }
  if (!dialog.open) dialog.showModal();
}

for (const album of document.querySelectorAll('.albums')) {
  const range = album.querySelector('input');
  if (!range) continue;
  const times = range.dataset.times.split(' ').map(Number);
  const names = range.dataset.names.split(' ');
  const update = () => {
    album.querySelector('output').textContent = names[range.value];
    for (const run of album.querySelectorAll('.run')) {
      const own = run.dataset.times.split(' ').map(Number);
      run.dataset.shown = newest(own, times[range.value]);
      run.querySelector('.now').textContent = own[run.dataset.shown];
      show(run);
    }
    if (dialog.open && album.contains(open)) {
      const large = place.querySelector('.row');
      const fresh = open.cloneNode(true);
      fresh.style.cssText = large.style.cssText;
      large.replaceWith(fresh);
      place.querySelector('output').textContent = names[range.value];
    }
  };
  range.addEventListener('input', update);
  let timer = null;
  const play = album.querySelector('.play');
  play.addEventListener('click', () => {
    const stop = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = '\u25b6';
      play.setAttribute('aria-label', 'Play');
    };
    if (timer) return stop();
    if (range.value === range.max) range.value = -1;
    const step = () => {
      range.value = Number(range.value) + 1;
      update();
      if (range.value === range.max) stop();
    };
    timer = setInterval(step, 900);
    play.textContent = '\u275a\u275a';
    play.setAttribute('aria-label', 'Stop');
    if (range.value !== '0') step(); else update();
  });
}

for (const row of document.querySelectorAll('main .row')) {
  row.tabIndex = 0;
  row.setAttribute('aria-label', `Enlarge ${row.dataset.name}`);
  row.addEventListener('click', () => enlarge(row));
  row.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') enlarge(row);
  });
}

function step(by) {
  const rows = [...open.closest('.rows').querySelectorAll('.row')];
  const at = rows.indexOf(open) + by;
  enlarge(rows[(at + rows.length) % rows.length]);
}

for (const button of dialog.querySelectorAll('.step')) {
  button.addEventListener('click', () => step(Number(button.value)));
}
dialog.addEventListener('keydown', (event) => {
  if (event.target.type === 'range') return;
  if (event.key === 'ArrowRight') step(1);
  if (event.key === 'ArrowLeft') step(-1);
});
dialog.addEventListener('click', (event) => {
  if (event.target === dialog) dialog.close();
});
