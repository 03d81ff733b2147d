/* What the steps of the page share: elements, talking to the server, waiting. */

export const $ = (id) => document.getElementById(id);

/* show and hide elements; a text of '' hides as well. */
export function show(element, visible) {
  element.hidden = !visible;
}

export function say(element, text) {
  element.textContent = text;
  show(element, text !== '');
}

/* card shows one of the page's cards and moves the focus to its heading, so that screen readers read it. */
export function card(id) {
  for (const section of document.querySelectorAll('main > section')) show(section, section.id === id);
  const heading = $(id).querySelector('h1[tabindex]');
  if (heading) heading.focus();
}

/* flow continues a challenged sign-up; cannot lists the proofs this visitor cannot give. */
export const state = { flow: '', cannot: [] };

export async function post(url, body) {
  const headers = { Accept: 'application/json' };
  if (state.flow) headers['Vestibule-Flow'] = state.flow;
  if (state.cannot.length > 0) headers['Vestibule-Cannot'] = state.cannot.join(',');
  if (body) headers['Content-Type'] = 'application/json';
  const response = await fetch(url, { method: 'POST', headers, body: body && JSON.stringify(body) });
  return { status: response.status, answer: await response.json() };
}

export const unreachable = 'The server cannot be reached. Please try again.';

export function duration(seconds) {
  if (seconds >= 120) return Math.ceil(seconds / 60) + ' minutes';
  return seconds + (seconds === 1 ? ' second' : ' seconds');
}

/* countdown calls tick with the seconds left, each second, and at last with 0. It returns what ends it before. */
export function countdown(seconds, tick) {
  const end = Date.now() + seconds * 1000;
  const step = () => {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    if (left === 0) clearInterval(timer);
    tick(left);
  };
  const timer = setInterval(step, 1000);
  step();
  return () => clearInterval(timer);
}
