/* Sends the form as JSON, and gives the proofs the server asks for. */
(function () {
  'use strict';

  const $ = (id) => document.getElementById(id);
  const form = $('signup');
  const send = $('send');
  const notice = $('notice');
  const check = $('check');
  const captcha = window.VestibuleCaptcha.attach($('captcha'), { start: 'manual', field: 'captcha' });
  const label = send.textContent;
  let flow = ''; // continues a challenged sign-up
  let cannot = ''; // a proof this browser cannot give
  let timer;

  function show(element, visible) {
    element.hidden = !visible;
  }

  function say(text) {
    notice.textContent = text;
    show(notice, text !== '');
  }

  function busy(on, text) {
    send.disabled = on;
    send.textContent = text || label;
    form.toggleAttribute('aria-busy', on);
  }

  async function post(url, body) {
    const headers = { Accept: 'application/json' };
    if (flow) headers['Vestibule-Flow'] = flow;
    if (cannot) headers['Vestibule-Cannot'] = cannot;
    if (body) headers['Content-Type'] = 'application/json';
    const response = await fetch(url, { method: 'POST', headers, body: body && JSON.stringify(body) });
    return { status: response.status, answer: await response.json() };
  }

  async function submit() {
    say('');
    busy(true, 'Sending\u2026');
    let result;
    try {
      result = await post(form.action, Object.fromEntries(new FormData(form)));
    } catch (err) {
      busy(false);
      say('The server cannot be reached. Please try again.');
      return;
    }
    const answer = result.answer;
    if (result.status === 201 || result.status === 202) {
      finish(answer);
    } else if (answer.require && answer.flow) {
      flow = answer.flow;
      challenge(answer.tasks || []);
    } else if (result.status === 429) {
      wait(answer);
    } else {
      busy(false);
      say(answer.detail || answer.title);
    }
  }

  // challenge gives the proof of being human; others have no part in this page yet.
  function challenge(tasks) {
    const task = tasks.find((t) => t.proof === 'human' && t.signal === 'captcha' && t.data);
    if (!task) {
      busy(false);
      say('This sign-up needs a step that cannot be done here. Please try again later.');
      return;
    }
    busy(true, 'Checking\u2026');
    show(check, true);
    check.focus();
    captcha.start(task.data);
  }

  function wait(answer) {
    show(check, false);
    clearInterval(timer);
    const end = Date.now() + (answer.retry_after || 1) * 1000;
    const left = () => Math.ceil((end - Date.now()) / 1000);
    const text = (s) => (s < 120 ? s + (s === 1 ? ' second' : ' seconds') : Math.ceil(s / 60) + ' minutes');
    say((answer.title || 'Too many requests') + '. You can try again in ' + text(left()) + '.');
    const tick = () => {
      const s = left();
      if (s > 0) {
        busy(true, 'Wait ' + text(s));
        return;
      }
      clearInterval(timer);
      busy(false);
      say('');
    };
    tick();
    timer = setInterval(tick, 1000);
  }

  function finish(answer) {
    flow = '';
    cannot = '';
    captcha.reset();
    show(check, false);
    busy(false);
    $('done-title').textContent = answer.title;
    $('done-detail').textContent = answer.detail;
    show($('start'), false);
    show($('done'), true);
    $('done-title').focus();
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });

  $('captcha').addEventListener('captcha:solved', submit);

  for (const state of ['cancelled', 'error']) {
    $('captcha').addEventListener('captcha:' + state, () => busy(false));
  }

  // Whoever cannot be checked is not lost: a person looks at the sign-up.
  $('captcha').addEventListener('captcha:unsupported', () => {
    busy(false);
    cannot = 'human';
    send.textContent = 'Have a person look at it';
  });

  // A task is good for some minutes only: fetch the flow's next one.
  $('captcha').addEventListener('captcha:expired', async () => {
    try {
      const result = await post('/api/tasks');
      if (result.status === 200) {
        challenge(result.answer.tasks || []);
        return;
      }
    } catch (err) {
      // told below
    }
    flow = '';
    show(check, false);
    busy(false);
    say('The check has expired. Please send the form again.');
  });

  $('again').addEventListener('click', () => {
    form.reset();
    say('');
    show($('done'), false);
    show($('start'), true);
    $('email').focus();
  });
})();
