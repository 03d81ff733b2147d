/*
 * Does whatever task the server has assigned and fills one form field: solves ALTCHA v2 proofs of work (PBKDF2) with Web
 * Workers and WebCrypto, or shows the widget of Turnstile, hCaptcha, reCAPTCHA (v2, v3, Enterprise), Friendly Captcha v2,
 * Cap, GeeTest v4, Private Captcha, Arkose Labs or mCaptcha. One file, no dependencies, no inline code: the page needs script-src and worker-src for this file's origin, which
 * must be the page's own, and for widgets what their vendor asks for (script-src, frame-src, connect-src).
 *
 * In a form, without any code:
 *
 *   <script src="/captcha.js" defer></script>
 *   <form ...><div data-captcha data-captcha-url="/captcha/challenge"></div> ... </form>
 *
 * The element gets a status line (role="status"), a progress bar, a cancel and a retry button, and a hidden field named by
 * data-captcha-field (default "captcha"). data-captcha-task may hold a task or a challenge as JSON in place of the URL.
 * data-captcha-start is "load" (default), "focus" (first touch of the form) or "manual". Texts: data-captcha-text-<state>.
 * data-captcha-state on the element is idle, working, solved, expired, cancelled, unsupported or error; each change
 * fires the event "captcha:<state>", which bubbles, with detail {token, code, message}.
 *
 * From code: VestibuleCaptcha.perform(task, element, {signal, workers, onProgress, onExpired}) does any task in an element
 * and gives {token, remove()}; VestibuleCaptcha.solve(task, {signal, workers, onProgress}) gives {token, counter, tries, ms};
 * VestibuleCaptcha.attach(element, {url, task, field, start, workers}) gives {start(task), cancel(), reset()}.
 */
(function (global) {
  'use strict';

  const HASHES = { 'PBKDF2/SHA-256': 'SHA-256', 'PBKDF2/SHA-384': 'SHA-384', 'PBKDF2/SHA-512': 'SHA-512' };
  const MAX_COUNTER = 0xffffffff;
  const MAX_WORKERS = 8;

  class CaptchaError extends Error {
    constructor(code, message) {
      super(message);
      this.name = 'CaptchaError';
      this.code = code; // unsupported, malformed, expired, cancelled, network, unsolved
    }
  }

  function fromHex(text) {
    if (typeof text !== 'string' || text.length % 2 !== 0 || /[^0-9a-f]/i.test(text)) {
      throw new CaptchaError('malformed', 'The challenge is malformed.');
    }
    const out = new Uint8Array(text.length / 2);
    for (let i = 0; i < out.length; i++) out[i] = parseInt(text.substr(2 * i, 2), 16);
    return out;
  }

  function toHex(bytes) {
    let out = '';
    for (const b of bytes) out += (b + 256).toString(16).slice(1);
    return out;
  }

  // The challenge of a task, or the challenge itself, checked as far as solving needs it.
  function challengeOf(task) {
    const c = task && task.challenge ? task.challenge : task;
    const p = c && c.parameters;
    const good = p && typeof c.signature === 'string' && Number.isInteger(p.cost) && p.cost > 0 &&
      Number.isInteger(p.keyLength) && p.keyLength > 0 && typeof p.keyPrefix === 'string' &&
      /^[0-9a-f]+$/i.test(p.keyPrefix) && p.keyPrefix.length <= 2 * p.keyLength;
    if (!good) throw new CaptchaError('malformed', 'The challenge is malformed.');
    if (!Object.prototype.hasOwnProperty.call(HASHES, p.algorithm)) {
      throw new CaptchaError('unsupported', 'The challenge uses an algorithm this script does not know.');
    }
    fromHex(p.nonce);
    fromHex(p.salt);
    return c;
  }

  // How many ms the challenge has left. The visitor's clock may be wrong: where the issuer says when it was issued, only
  // the time since its receipt counts; where it does not and the clock says that it is over, the server decides.
  function lifetime(challenge, received) {
    const p = challenge.parameters;
    if (!Number.isInteger(p.expiresAt)) return Infinity;
    const issued = p.data && p.data.iat;
    if (Number.isInteger(issued)) return (p.expiresAt - issued) * 1000 - (Date.now() - received);
    const left = p.expiresAt * 1000 - Date.now();
    return left > 0 ? left : Infinity;
  }

  // Tries the counters start, start+step, ... and returns {counter, derivedKey, tries}, or null when stop() says so.
  async function search(parameters, start, step, onTries, stop) {
    const subtle = global.crypto && global.crypto.subtle;
    if (!subtle) throw new CaptchaError('unsupported', 'WebCrypto is not available.');
    const nonce = fromHex(parameters.nonce);
    const derivation = {
      name: 'PBKDF2', hash: HASHES[parameters.algorithm], salt: fromHex(parameters.salt), iterations: parameters.cost,
    };
    const prefix = parameters.keyPrefix.toLowerCase();
    const password = new Uint8Array(nonce.length + 4);
    password.set(nonce);
    const view = new DataView(password.buffer);
    let tries = 0;
    let told = Date.now();
    for (let counter = start; counter <= MAX_COUNTER; counter += step) {
      view.setUint32(nonce.length, counter, false);
      const key = await subtle.importKey('raw', password, 'PBKDF2', false, ['deriveBits']);
      const bits = new Uint8Array(await subtle.deriveBits(derivation, key, parameters.keyLength * 8));
      tries++;
      if (toHex(bits.subarray(0, (prefix.length + 1) >> 1)).startsWith(prefix)) {
        return { counter, derivedKey: toHex(bits), tries };
      }
      if (Date.now() - told > 100) {
        told = Date.now();
        onTries(tries);
        await new Promise((resolve) => setTimeout(resolve, 0)); // lets an abort through
      }
      if (stop()) return null;
    }
    throw new CaptchaError('unsolved', 'The challenge has no solution.');
  }

  // The worker's half. The page sends {parameters, start, step}; the answers are {tries}, {solution} or {error, code}.
  if (typeof global.document === 'undefined' && typeof global.WorkerGlobalScope !== 'undefined') {
    global.onmessage = async function (event) {
      const work = event.data;
      try {
        const solution = await search(work.parameters, work.start, work.step, (tries) => global.postMessage({ tries }), () => false);
        global.postMessage({ solution });
      } catch (err) {
        global.postMessage({ error: String((err && err.message) || err), code: (err && err.code) || 'unsolved' });
      }
    };
    return;
  }

  const scriptURL = global.document && global.document.currentScript ? global.document.currentScript.src : '';

  function payload(challenge, solution, ms) {
    return global.btoa(JSON.stringify({
      challenge: { parameters: challenge.parameters, signature: challenge.signature },
      solution: { counter: solution.counter, derivedKey: solution.derivedKey, time: Math.round(ms) },
    }));
  }

  // How many tries are expected: random mode 16^digits; deterministic challenges do not tell.
  function expected(parameters) {
    return parameters.keySignature ? 0 : Math.pow(16, parameters.keyPrefix.length);
  }

  // solve(task, options): options.signal aborts, options.workers is the number of workers (0: none, on this thread),
  // options.workerURL the address of this file, options.received when the challenge came (ms since 1970, default now);
  // options.onProgress is called with {tries, expected}.
  async function solve(task, options) {
    const o = options || {};
    const challenge = challengeOf(task);
    const parameters = challenge.parameters;
    if (global.isSecureContext === false || !global.crypto || !global.crypto.subtle) {
      throw new CaptchaError('unsupported', 'This check needs a secure connection (https) and a current browser.');
    }
    const started = Date.now();
    const life = lifetime(challenge, o.received || started);
    if (life <= 0) throw new CaptchaError('expired', 'The challenge has expired.');
    const url = o.workerURL || scriptURL;
    const cores = (global.navigator && global.navigator.hardwareConcurrency) || 2;
    let count = Number.isInteger(o.workers) ? o.workers : Math.max(1, Math.min(MAX_WORKERS, cores - 1));
    if (!url || typeof global.Worker !== 'function') count = 0;

    const workers = [];
    const tried = [];
    let over = false;
    let timer;
    let onAbort;
    const progress = (i, n) => {
      tried[i] = n;
      if (!over && o.onProgress) o.onProgress({ tries: tried.reduce((a, b) => a + b, 0), expected: expected(parameters) });
    };
    const interrupted = new Promise((resolve, reject) => {
      onAbort = () => reject(new CaptchaError('cancelled', 'The check was cancelled.'));
      if (o.signal) {
        if (o.signal.aborted) onAbort();
        else o.signal.addEventListener('abort', onAbort, { once: true });
      }
      if (life < 0x7fffffff) timer = setTimeout(() => reject(new CaptchaError('expired', 'The challenge has expired.')), life);
    });
    interrupted.catch(() => {});
    const inWorker = (i) => new Promise((resolve, reject) => {
      const w = new global.Worker(url);
      workers.push(w);
      w.onmessage = (event) => {
        const m = event.data || {};
        if (m.solution) resolve(m.solution);
        else if (m.error) reject(new CaptchaError(m.code, m.error));
        else progress(i, m.tries || 0);
      };
      w.onerror = (event) => {
        if (event && event.preventDefault) event.preventDefault();
        reject(new CaptchaError('worker', 'A worker could not be started.'));
      };
      w.postMessage({ parameters, start: i, step: count });
    });
    const here = () => search(parameters, 0, 1, (n) => progress(0, n), () => over);

    try {
      let solution;
      if (count > 0) {
        try {
          solution = await Promise.race([interrupted, ...Array.from({ length: count }, (_, i) => inWorker(i))]);
        } catch (err) {
          if (err instanceof CaptchaError && err.code !== 'worker') throw err;
          workers.splice(0).forEach((w) => w.terminate()); // no workers under this page's policy: solve here
          tried.length = 0;
          solution = await Promise.race([interrupted, here()]);
        }
      } else {
        solution = await Promise.race([interrupted, here()]);
      }
      const ms = Date.now() - started;
      return {
        token: payload(challenge, solution, ms), counter: solution.counter, derivedKey: solution.derivedKey,
        tries: tried.reduce((a, b) => a + b, 0) || solution.tries, ms, expiresIn: life - ms,
      };
    } finally {
      over = true;
      clearTimeout(timer);
      if (o.signal) o.signal.removeEventListener('abort', onAbort);
      workers.forEach((w) => w.terminate());
    }
  }

  // load runs a vendor's script once and waits until ready() says that it has set itself up.
  const scripts = {};
  function loadScript(url, ready, attributes) {
    if (!scripts[url] || attributes) { // one with attributes belongs to one widget
      scripts[url] = new Promise((resolve, reject) => {
        const e = global.document.createElement('script');
        e.src = url;
        e.async = true;
        for (const name in attributes) e.setAttribute(name, attributes[name]);
        e.onload = resolve;
        e.onerror = () => {
          delete scripts[url];
          e.remove();
          reject(new CaptchaError('network', 'The check could not be loaded.'));
        };
        global.document.head.appendChild(e);
      });
    }
    return scripts[url].then(async () => {
      for (let i = 0; i < 500 && !ready(); i++) await new Promise((resolve) => setTimeout(resolve, 20));
      if (!ready()) throw new CaptchaError('network', 'The check could not be loaded.');
    });
  }

  function withQuery(url, query) {
    const u = new URL(url, global.location.href);
    for (const name in query) u.searchParams.set(name, query[name]);
    return u.href;
  }

  const failed = () => new CaptchaError('widget', 'The check reported an error.');

  // How each vendor's widget is shown. box is an empty element of its own; done(token), fail(error) and expired() tell
  // what became of it; what is returned removes the widget.
  const WIDGETS = {
    turnstile: async (box, task, done, fail, expired) => {
      await loadScript(withQuery(task.script || 'https://challenges.cloudflare.com/turnstile/v0/api.js', { render: 'explicit' }),
        () => global.turnstile && global.turnstile.render);
      const id = global.turnstile.render(box, {
        sitekey: task.siteKey, action: task.action || undefined, cData: task.cdata || undefined,
        appearance: task.invisible ? 'interaction-only' : 'always', 'response-field': false,
        callback: done, 'error-callback': () => { fail(failed()); return true; }, 'expired-callback': expired,
      });
      return () => global.turnstile.remove(id);
    },
    hcaptcha: async (box, task, done, fail, expired) => {
      await loadScript(withQuery(task.script || 'https://js.hcaptcha.com/1/api.js', { render: 'explicit' }),
        () => global.hcaptcha && global.hcaptcha.render);
      const id = global.hcaptcha.render(box, {
        sitekey: task.siteKey, size: task.invisible ? 'invisible' : 'normal',
        callback: done, 'error-callback': () => fail(failed()), 'expired-callback': expired,
      });
      if (task.invisible) global.hcaptcha.execute(id);
      return () => global.hcaptcha.remove(id);
    },
    recaptcha: (box, task, done, fail, expired) => google(
      task.script || 'https://www.google.com/recaptcha/api.js', () => global.grecaptcha, box, task, done, fail, expired),
    recaptcha_enterprise: (box, task, done, fail, expired) => google(
      task.script || 'https://www.google.com/recaptcha/enterprise.js', () => global.grecaptcha && global.grecaptcha.enterprise,
      box, task, done, fail, expired),
    friendly: async (box, task, done, fail, expired) => {
      await loadScript(task.script || 'https://cdn.jsdelivr.net/npm/@friendlycaptcha/sdk@1/site.min.js',
        () => global.frcaptcha && global.frcaptcha.createWidget);
      const widget = global.frcaptcha.createWidget({ element: box, sitekey: task.siteKey, startMode: 'auto', formFieldName: null });
      widget.addEventListener('frc:widget.complete', (event) => done(event.detail.response));
      widget.addEventListener('frc:widget.error', () => fail(failed()));
      widget.addEventListener('frc:widget.expire', expired);
      const now = widget.getResponse();
      if (widget.getState() === 'completed') done(now);
      return () => widget.destroy();
    },
    cap: async (box, task, done, fail) => {
      if (!task.instance) throw new CaptchaError('unknown', 'This check is not known to this page.');
      await loadScript(task.script || task.instance.replace(/\/$/, '') + '/assets/widget.js', () => global.customElements.get('cap-widget'));
      const widget = global.document.createElement('cap-widget');
      widget.setAttribute('data-cap-api-endpoint', task.instance.replace(/\/$/, '') + '/' + encodeURIComponent(task.siteKey) + '/');
      widget.addEventListener('solve', (event) => done(event.detail.token));
      widget.addEventListener('error', () => fail(failed()));
      box.appendChild(widget);
      widget.solve();
      return () => widget.remove();
    },
    geetest: async (box, task, done, fail) => {
      await loadScript(task.script || 'https://static.geetest.com/v4/gt4.js', () => global.initGeetest4);
      let captcha = null;
      global.initGeetest4({ captchaId: task.siteKey, product: 'bind' }, (c) => {
        captcha = c;
        c.onReady(() => c.showCaptcha());
        c.onSuccess(() => {
          const v = c.getValidate();
          done(JSON.stringify({
            lot_number: v.lot_number, captcha_output: v.captcha_output, pass_token: v.pass_token, gen_time: v.gen_time,
          }));
        });
        c.onError(() => fail(failed()));
        c.onClose(() => fail(new CaptchaError('cancelled', 'The check was cancelled.')));
      });
      return () => { if (captcha) captcha.destroy(); };
    },
    private_captcha: async (box, task, done, fail) => {
      const widget = global.document.createElement('div');
      const names = ['done', 'failed'].map((n) => 'vestibuleCaptcha_' + n + '_' + Math.random().toString(36).slice(2));
      global[names[0]] = (w) => done(w.solution());
      global[names[1]] = () => fail(failed());
      widget.className = 'private-captcha';
      widget.setAttribute('data-sitekey', task.siteKey);
      widget.setAttribute('data-start-mode', 'auto');
      widget.setAttribute('data-finished-callback', names[0]);
      widget.setAttribute('data-errored-callback', names[1]);
      box.appendChild(widget);
      await loadScript(withQuery(task.script || 'https://cdn.privatecaptcha.com/widget/js/privatecaptcha.js', {}), () => global.privateCaptcha);
      if (!widget._privateCaptcha) global.privateCaptcha.setup();
      return () => names.forEach((n) => { delete global[n]; });
    },
    arkose: async (box, task, done, fail) => {
      if (!task.script) throw new CaptchaError('unknown', 'This check is not known to this page.');
      const name = 'vestibuleCaptcha_arkose_' + Math.random().toString(36).slice(2);
      let enforcement = null;
      global[name] = (e) => { enforcement = e; };
      await loadScript(task.script, () => enforcement, { 'data-callback': name, 'data-pkey': task.siteKey });
      enforcement.setConfig({ onCompleted: (r) => done(r.token), onError: () => fail(failed()), onFailed: () => fail(failed()) });
      enforcement.run();
      return () => { delete global[name]; };
    },
    mcaptcha: async (box, task, done, fail) => {
      if (!task.instance) throw new CaptchaError('unknown', 'This check is not known to this page.');
      const frame = global.document.createElement('iframe');
      const url = new URL(task.instance.replace(/\/$/, '') + '/widget/');
      url.searchParams.set('sitekey', task.siteKey);
      frame.title = 'mCaptcha';
      const hear = (event) => {
        if (event.source !== frame.contentWindow || event.origin !== url.origin) return;
        if (event.data && typeof event.data.token === 'string') done(event.data.token);
        else if (event.data && event.data.error) fail(failed());
      };
      global.addEventListener('message', hear);
      frame.src = url.href;
      box.appendChild(frame);
      return () => { global.removeEventListener('message', hear); frame.remove(); };
    },
  };

  async function google(url, api, box, task, done, fail, expired) {
    await loadScript(withQuery(url, { render: task.invisible ? task.siteKey : 'explicit' }), () => api() && api().ready);
    await new Promise((resolve) => api().ready(resolve));
    if (task.invisible) {
      api().execute(task.siteKey, { action: task.action }).then(done, () => fail(failed()));
      return () => {};
    }
    const id = api().render(box, {
      sitekey: task.siteKey, action: task.action || undefined, callback: done, 'error-callback': () => fail(failed()), 'expired-callback': expired,
    });
    return () => api().reset(id);
  }

  // show puts a widget into host and gives {token, remove}; expired is called when the token has become worthless.
  function show(task, host, options) {
    const o = options || {};
    const vendor = Object.prototype.hasOwnProperty.call(WIDGETS, task.provider) && WIDGETS[task.provider];
    if (!vendor || typeof task.siteKey !== 'string') {
      return Promise.reject(new CaptchaError('unknown', 'This check is not known to this page.'));
    }
    const box = global.document.createElement('div');
    box.setAttribute('data-captcha-widget', task.provider);
    host.appendChild(box);
    let take;
    let removed = false;
    const remove = () => {
      if (removed) return;
      removed = true;
      try {
        if (take) take();
      } catch (err) {
        // the vendor has removed it already
      }
      box.remove();
    };
    return new Promise((resolve, reject) => {
      const fail = (err) => {
        remove();
        reject(err instanceof CaptchaError ? err : failed());
      };
      const done = (token) => {
        if (typeof token === 'string' && token) resolve({ token, remove });
        else fail(failed());
      };
      if (o.signal) {
        const abort = () => fail(new CaptchaError('cancelled', 'The check was cancelled.'));
        if (o.signal.aborted) abort();
        else o.signal.addEventListener('abort', abort, { once: true });
      }
      vendor(box, task, done, fail, () => { if (o.onExpired) o.onExpired(); }).then((f) => {
        take = f;
        if (removed) {
          removed = false;
          remove();
        }
      }, fail);
    });
  }

  // perform does a task of any kind, and the one beside it, and gives {token, expiresIn, remove} with the one value a
  // form sends: the ticket and the answers, with spaces between.
  async function perform(task, host, options) {
    const one = async (t) => {
      const c = t && (t.challenge || t.parameters);
      if (c) return Object.assign(await solve(t, options), { remove: () => {} });
      if (!t || typeof t !== 'object') throw new CaptchaError('malformed', 'The challenge is malformed.');
      return Object.assign(await show(t, host, options), { expiresIn: Infinity });
    };
    const beside = task && task.second ? one(task.second).catch(() => null) : Promise.resolve(null);
    const [first, second] = await Promise.all([one(task), beside]);
    const parts = task.ticket ? [task.ticket, first.token] : [first.token];
    if (second) parts.push(second.token);
    return Object.assign({}, first, {
      token: parts.join(' '),
      remove: () => { first.remove(); if (second) second.remove(); },
    });
  }

  const TEXTS = {
    idle: 'A short check that you are human is needed.',
    working: 'Checking that you are human\u2026 This may take a few seconds.',
    solved: 'Checked: you can send the form.',
    expired: 'The check has expired. Please run it again.',
    cancelled: 'The check was cancelled.',
    unsupported: 'This check needs a secure connection (https) and a current browser.',
    error: 'The check could not be completed. Please try again.',
    cancel: 'Cancel',
    retry: 'Run the check',
  };

  function attach(element, options) {
    if (element.vestibuleCaptcha) return element.vestibuleCaptcha;
    const o = Object.assign({
      url: element.getAttribute('data-captcha-url'), task: element.getAttribute('data-captcha-task'),
      field: element.getAttribute('data-captcha-field') || 'captcha', start: element.getAttribute('data-captcha-start') || 'load',
    }, options || {});
    const doc = element.ownerDocument;
    const text = (name) => element.getAttribute('data-captcha-text-' + name) || TEXTS[name];
    const make = (tag, attributes) => {
      const e = doc.createElement(tag);
      for (const name in attributes) e.setAttribute(name, attributes[name]);
      element.appendChild(e);
      return e;
    };
    const status = make('p', { role: 'status', 'aria-live': 'polite' });
    const bar = make('progress', { 'aria-label': text('working') });
    const host = make('div', { 'data-captcha-host': '' });
    const cancelButton = make('button', { type: 'button' });
    const retryButton = make('button', { type: 'button' });
    const field = make('input', { type: 'hidden', name: o.field });
    cancelButton.textContent = text('cancel');
    retryButton.textContent = text('retry');

    let controller = null;
    let expiry;
    let run = 0;
    let remove = () => {}; // what the last run shows
    let received = Date.now(); // when o.task came

    function tell(state, detail) {
      element.setAttribute('data-captcha-state', state);
      if (state === 'working') element.setAttribute('aria-busy', 'true');
      else element.removeAttribute('aria-busy');
      status.textContent = text(state);
      bar.hidden = state !== 'working';
      cancelButton.hidden = state !== 'working';
      retryButton.hidden = state === 'working' || state === 'solved' || state === 'unsupported' || !(o.url || o.task);
      element.dispatchEvent(new CustomEvent('captcha:' + state, { bubbles: true, detail: detail || {} }));
    }

    async function load(signal) {
      if (o.task) return typeof o.task === 'string' ? JSON.parse(o.task) : o.task;
      if (!o.url) throw new CaptchaError('malformed', 'There is no challenge.');
      let response;
      try {
        response = await fetch(o.url, { credentials: 'same-origin', cache: 'no-store', headers: { Accept: 'application/json' }, signal });
      } catch (err) {
        throw new CaptchaError('network', 'The challenge could not be loaded.');
      }
      if (!response.ok) throw new CaptchaError('network', 'The challenge could not be loaded.');
      received = Date.now();
      return response.json();
    }

    // start solves the given task, else the element's own, else a new one from the URL.
    async function start(task) {
      const mine = ++run;
      if (controller) controller.abort();
      clearTimeout(expiry);
      remove();
      remove = () => {};
      controller = new AbortController();
      const signal = controller.signal;
      if (task) {
        o.task = task;
        received = Date.now();
      }
      field.value = '';
      bar.removeAttribute('value');
      tell('working');
      try {
        const loaded = await load(signal);
        const over = () => {
          if (mine !== run) return;
          field.value = '';
          tell('expired', { code: 'expired' });
        };
        const result = await perform(loaded, host, {
          signal, workers: o.workers, received, onExpired: over,
          onProgress: (p) => {
            if (mine !== run || !p.expected) return;
            bar.max = 1;
            bar.value = 1 - Math.exp(-p.tries / p.expected); // the chance of having been done by now
          },
        });
        if (mine !== run) {
          result.remove();
          return null;
        }
        remove = result.remove;
        field.value = result.token;
        o.task = null; // a challenge is good for one answer
        if (result.expiresIn < 0x7fffffff) {
          expiry = setTimeout(over, Math.max(0, result.expiresIn - 2000)); // before the server thinks so
        }
        tell('solved', { token: result.token });
        return result.token;
      } catch (err) {
        if (mine !== run) return null;
        const code = signal.aborted ? 'cancelled' : (err instanceof CaptchaError && err.code) || 'error';
        if (code === 'expired') o.task = null;
        const state = code === 'cancelled' || code === 'expired' || code === 'unsupported' ? code : 'error';
        tell(state, { code, message: String((err && err.message) || err) });
        return null;
      }
    }

    function cancel() {
      if (controller) controller.abort();
    }

    function reset() {
      run++;
      cancel();
      clearTimeout(expiry);
      remove();
      remove = () => {};
      field.value = '';
      tell('idle');
    }

    cancelButton.addEventListener('click', cancel);
    retryButton.addEventListener('click', () => start());
    tell('idle');
    const handle = { start, cancel, reset, field };
    element.vestibuleCaptcha = handle;
    if (o.start === 'load' && (o.url || o.task)) {
      start();
    } else if (o.start === 'focus') {
      const form = element.closest('form');
      if (form) form.addEventListener('focusin', () => { if (run === 0) start(); }, { once: true });
    }
    return handle;
  }

  const api = { solve, show, perform, attach, search, CaptchaError };
  if (typeof module === 'object' && module && module.exports) module.exports = api;
  else global.VestibuleCaptcha = api;

  if (global.document) {
    const all = () => global.document.querySelectorAll('[data-captcha]').forEach((e) => attach(e));
    if (global.document.readyState === 'loading') global.document.addEventListener('DOMContentLoaded', all);
    else all();
  }
})(typeof self !== 'undefined' ? self : globalThis);
