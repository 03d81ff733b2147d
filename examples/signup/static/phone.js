/* The step that confirms a phone number: send a code, enter it, have it sent again. */

import { $, card, countdown, post, say, show, unreachable } from './page.js';

export function phone(host) {
  const numberForm = $('number-form');
  const codeForm = $('code-form');
  const again = $('phone-again');
  const call = $('phone-call');
  const checkButton = $('code-check');
  let task = null;
  let channel = 'sms';
  let confirmed = ''; // the number, once it is
  let stopCooling = () => {};
  let listening = null; // to the message itself

  function start(t) {
    task = t;
    channel = t.channel;
    confirmed = '';
    askNumber();
    card('phone-step');
  }

  function reset() {
    task = null;
    confirmed = '';
    stopCooling();
    stopListening();
    numberForm.reset();
    codeForm.reset();
    $('status').textContent = '';
  }

  function stopListening() {
    if (listening) listening.abort();
    listening = null;
  }

  function askNumber() {
    say($('phone-lead'), channel === 'voice' ? 'We call you and read you a code.' : 'We send you a message with a code.');
    say($('phone-error'), '');
    show(numberForm, true);
    show(codeForm, false);
  }

  function refuse(input, text) {
    say($(input.id + '-error'), text);
    input.setAttribute('aria-invalid', 'true');
    input.focus();
    input.select();
  }

  function accept(input) {
    say($(input.id + '-error'), '');
    input.removeAttribute('aria-invalid');
  }

  /* ask posts a step's request. It returns null where the step is over or has to be tried again, which it has said. */
  async function ask(url, body, input, button) {
    accept(input);
    button.disabled = true;
    try {
      const result = await post(url, body);
      if (result.status === 404) { // the flow is over
        host.startOver('That took too long. Please send the form again.');
        return null;
      }
      return result;
    } catch (err) {
      refuse(input, unreachable);
      return null;
    } finally {
      button.disabled = false;
    }
  }

  async function sendCode(button) {
    const result = await ask(task.start, { phone: $('phone').value, channel }, $('phone'), button);
    if (!result) return;
    if (result.status !== 202) {
      show(numberForm, true);
      show(codeForm, false);
      refuse($('phone'), result.answer.detail || result.answer.title);
      return;
    }
    // The answer is the same whatever became of the message: who asks learns nothing about a number.
    say($('phone-lead'), (channel === 'voice' ? 'If we can reach ' + $('phone').value + ', we are calling it.'
      : 'If we can reach ' + $('phone').value + ', a message is on its way.') + ' The code is good for five minutes.');
    $('status').textContent = channel === 'voice' ? 'We are calling.' : 'A message is on its way.';
    codeForm.reset();
    accept($('code'));
    show(numberForm, false);
    show(codeForm, true);
    show(call, task.channel !== 'voice');
    $('code').focus();
    cool(result.answer.retry_after || 1);
    fillIn();
  }

  /* cool keeps both ways to ask again closed for as long as the server would not listen. */
  function cool(seconds) {
    const text = channel === 'voice' && task.channel === 'voice' ? 'Call again' : 'Send again';
    stopCooling();
    stopCooling = countdown(seconds, (left) => {
      again.disabled = call.disabled = left > 0;
      again.textContent = left > 0 ? text + ' in ' + left + ' s' : text;
    });
  }

  /* fillIn takes the code from the message where the browser can hand it over (WebOTP). */
  async function fillIn() {
    stopListening();
    if (!('OTPCredential' in window)) return;
    listening = new AbortController();
    try {
      const otp = await navigator.credentials.get({ otp: { transport: ['sms'] }, signal: listening.signal });
      $('code').value = otp.code;
      codeForm.requestSubmit();
    } catch (err) {
      // people can type
    }
  }

  numberForm.addEventListener('submit', (event) => {
    event.preventDefault();
    channel = task.channel;
    sendCode($('phone-send'));
  });

  again.addEventListener('click', () => {
    channel = task.channel;
    sendCode(again);
  });

  call.addEventListener('click', () => {
    channel = 'voice';
    sendCode(call);
  });

  codeForm.addEventListener('submit', async (event) => {
    event.preventDefault();
    const number = $('phone').value;
    const result = await ask(task.check, { phone: number, code: $('code').value }, $('code'), checkButton);
    if (!result) return;
    if (result.status === 200) {
      stopListening();
      confirmed = number;
      checkButton.disabled = true;
      await host.submit();
      checkButton.disabled = false;
    } else if (result.status === 429) {
      refuse($('code'), 'Too many wrong codes. Wait some minutes and have a new one sent, or use another number.');
    } else if (result.status === 422) {
      refuse($('code'), 'This code is not right, or no longer good.');
    } else {
      refuse($('code'), result.answer.detail || result.answer.title);
    }
  });

  $('phone-change').addEventListener('click', () => {
    channel = task.channel;
    askNumber();
    $('phone').focus();
    $('phone').select();
  });

  $('phone-cannot').addEventListener('click', () => {
    stopListening();
    host.cannot('phone');
  });

  return { start, reset, values: () => (confirmed ? { phone: confirmed } : {}) };
}
