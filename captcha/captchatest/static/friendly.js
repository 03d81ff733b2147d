
  // The SDK's global is frcaptcha; a widget dispatches frc:widget.* events on its element.
  function widget(o) {
    const element = find(o.element);
    let state = 'init';
    let answer = '.UNSTARTED';
    const note = box(element, 'friendly');
    const listeners = [];
    const tell = (name, detail) => {
      const d = Object.assign({ response: answer, state, id: 'stand-in', name: 'frc:widget.' + name }, detail);
      element.dispatchEvent(new CustomEvent('frc:widget.' + name, { bubbles: true, detail: d }));
      field(element, o.formFieldName || 'frc-captcha-response', answer);
    };
    const set = (s, a, name, detail) => {
      state = s;
      answer = a;
      tell('statechange');
      if (name) tell(name, detail);
    };
    const handle = {
      start() {
        set('solving', '.SOLVING');
        mint({ sitekey: o.sitekey }).then((token) => set('completed', token, 'complete'),
          () => set('error', '.ERROR', 'error', { error: { code: 'network_error', detail: 'stand-in' } }));
      },
      reset: () => set('reset', '.RESET', 'reset'),
      destroy() {
        listeners.forEach(([name, f]) => element.removeEventListener(name, f));
        note.remove();
        set('destroyed', '.DESTROYED');
      },
      expire: () => set('expired', '.EXPIRED', 'expire'),
      getState: () => state,
      getResponse: () => answer,
      getElement: () => element,
      addEventListener(name, f) {
        listeners.push([name, f]);
        element.addEventListener(name, f);
      },
      removeEventListener: (name, f) => element.removeEventListener(name, f),
    };
    element.frcWidget = handle;
    if (o.startMode === 'auto') handle.start();
    return handle;
  }
  const made = [];
  window.frcaptcha = {
    createWidget(o) {
      const w = widget(o);
      made.push(w);
      return w;
    },
    getAllWidgets: () => made.slice(),
    attach: () => made.slice(),
  };
