// A stand-in for a vendor's widget, for tests: it shows a box that says so and gets its answers from the stand-in
// service it was loaded from. A site key that the service does not know gets answers that are refused; the site key
// "fail" makes the widget report an error.
(function () {
  'use strict';
  const script = document.currentScript;
  const home = new URL(script.src);
  const query = home.searchParams;

  function mint(fields) {
    if (fields.sitekey === 'fail') return Promise.reject(new Error('stand-in: told to fail'));
    return fetch(home.origin + '__PREFIX__', {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(fields), credentials: 'omit',
    }).then((r) => r.json()).then((r) => r.token);
  }

  function find(where) {
    return typeof where === 'string' ? document.querySelector(where) || document.getElementById(where) : where;
  }

  function box(where, name) {
    const element = find(where);
    if (!element) throw new Error('stand-in ' + name + ': no such element');
    const note = document.createElement('span');
    note.textContent = name + ' stand-in';
    note.setAttribute('data-stand-in', name);
    element.appendChild(note);
    return note;
  }

  function field(element, name, value) {
    let input = element.querySelector('[name="' + name + '"]');
    if (!input) {
      input = document.createElement('input');
      input.type = 'hidden';
      input.name = name;
      element.appendChild(input);
    }
    input.value = value;
  }

  function call(f, ...args) {
    if (typeof f === 'string') f = window[f];
    if (typeof f === 'function') f(...args);
  }

  // A set of widgets with the numbered handles and methods that several vendors share.
  function set(name, response, first) {
    const all = new Map();
    let next = first;
    const run = (id) => {
      const w = all.get(id);
      const turn = ++w.turn;
      return mint({ sitekey: w.o.sitekey, action: w.o.action, cdata: w.o.cData }).then((token) => {
        if (turn !== w.turn || !all.has(id)) return token;
        w.token = token;
        field(w.element, response, token);
        call(w.o.callback, token);
        return token;
      }, (err) => {
        call(w.o['error-callback'], 'stand-in-error');
        throw err;
      });
    };
    const known = (id) => {
      if (id === undefined) id = all.keys().next().value;
      if (!all.has(id)) throw new Error('stand-in ' + name + ': no such widget');
      return id;
    };
    return {
      run: (id) => run(known(id)),
      widget: (id) => all.get(known(id)),
      render(where, options) {
        const element = find(where);
        const o = Object.assign({}, options);
        const id = typeof first === 'string' ? name + '-' + all.size : next++;
        all.set(id, { o, element, note: box(element, name), token: '', turn: 0 });
        return id;
      },
      reset(id) {
        const w = all.get(known(id));
        w.token = '';
        w.turn++;
        field(w.element, response, '');
      },
      remove(id) {
        id = known(id);
        all.get(id).element.replaceChildren();
        all.delete(id);
      },
      response: (id) => all.get(known(id)).token,
      // expire is for tests: the vendor's widget would do it after a while.
      expire(id) {
        const w = all.get(known(id));
        w.token = '';
        field(w.element, response, '');
        call(w.o['expired-callback']);
      },
    };
  }

  function ready(f) {
    setTimeout(f, 0);
  }
