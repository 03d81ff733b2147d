/* Sends the form as JSON, and gives the proofs the server asks for: the CAPTCHA here, others in cards of their own. */

import { $, card, countdown, duration, post, say, show, state, unreachable } from './page.js';
import { phone } from './phone.js';
import { passkey } from './passkey.js';

const form = $('signup');
const send = $('send');
const notice = $('notice');
const check = $('check');
const captcha = window.VestibuleCaptcha.attach($('captcha'), { start: 'manual', field: 'captcha' });
const label = send.textContent;
let stopWaiting = () => {};

/* Steps with a card of their own: start(task) shows it, values() are fields of the next sign-up, reset() ends it. */
const host = { submit, startOver, cannot, renewed };
const steps = { phone: phone(host), device: passkey(host) };
steps.voice = steps.phone;

function busy(on, text) {
  send.disabled = on;
  send.textContent = text || label;
  form.toggleAttribute('aria-busy', on);
}

async function submit() {
  say(notice, '');
  busy(true, 'Sending\u2026');
  const body = Object.fromEntries(new FormData(form));
  for (const step of Object.values(steps)) Object.assign(body, step.values());
  let result;
  try {
    result = await post(form.action, body);
  } catch (err) {
    fail(unreachable);
    return;
  }
  const answer = result.answer;
  if (result.status === 201 || result.status === 202) {
    finish(answer);
  } else if (answer.require && answer.flow) {
    state.flow = answer.flow;
    challenge(answer);
  } else if (result.status === 429) {
    wait(answer);
  } else {
    fail(answer.detail || answer.title);
  }
}

/* challenge begins the first step that is still missing: what costs the visitor least comes first. */
function challenge(answer) {
  for (const proof of ['human', 'phone', 'voice', 'device']) {
    const task = taskOf(answer, proof);
    if (!task) continue;
    if (proof === 'human') {
      card('start');
      busy(true, 'Checking\u2026');
      show(check, true);
      check.focus();
      captcha.start(task);
    } else {
      steps[proof].start(task);
    }
    return;
  }
  fail('This sign-up needs a step that cannot be done here. Please try again later.');
}

/* taskOf is what to do for a proof, by the signal this page knows to serve. */
function taskOf(answer, proof) {
  const signal = { human: 'captcha', device: 'passkey' }[proof] || 'phone';
  const task = (answer.tasks || []).find((t) => t.proof === proof && t.signal === signal);
  return task && task.data;
}

/* renewed is a new task for a proof: each is good for some minutes only. It is null where the flow is over too. */
async function renewed(proof) {
  try {
    const result = await post('/api/tasks');
    const task = result.status === 200 && taskOf(result.answer, proof);
    if (task) return task;
  } catch (err) {
    // told below
  }
  startOver('That took too long. Please send the form again.');
  return null;
}

/* cannot tells the server that a proof cannot be given: a person looks at the sign-up then. */
function cannot(proof) {
  state.cannot.push(proof);
  return submit();
}

function fail(text) {
  const back = $('start').hidden;
  card('start');
  busy(false);
  say(notice, text);
  if (back) send.focus();
}

function wait(answer) {
  card('start');
  show(check, false);
  stopWaiting();
  say(notice, (answer.title || 'Too many requests') + '. You can try again in ' + duration(answer.retry_after || 1) + '.');
  stopWaiting = countdown(answer.retry_after || 1, (left) => {
    if (left > 0) {
      busy(true, 'Wait ' + duration(left));
    } else {
      busy(false);
      say(notice, '');
    }
  });
}

/* forget ends the sign-up under way, but leaves the form filled in. */
function forget() {
  state.flow = '';
  state.cannot = [];
  captcha.reset();
  for (const step of Object.values(steps)) step.reset();
  show(check, false);
  busy(false);
}

function startOver(text) {
  forget();
  fail(text);
}

function finish(answer) {
  forget();
  $('done-title').textContent = answer.title;
  $('done-detail').textContent = answer.detail;
  card('done');
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  submit();
});

$('captcha').addEventListener('captcha:solved', submit);

for (const name of ['cancelled', 'error']) {
  $('captcha').addEventListener('captcha:' + name, () => busy(false));
}

/* Whoever cannot be checked is not lost. */
$('captcha').addEventListener('captcha:unsupported', () => {
  busy(false);
  state.cannot.push('human');
  send.textContent = 'Have a person look at it';
});

$('captcha').addEventListener('captcha:expired', async () => {
  const task = await renewed('human');
  if (task) captcha.start(task);
});

$('again').addEventListener('click', () => {
  form.reset();
  say(notice, '');
  card('start');
  $('email').focus();
});
