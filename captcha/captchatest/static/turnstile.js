
  const widgets = set('turnstile', 'cf-turnstile-response', '');
  window.turnstile = {
    ready,
    render(where, o) {
      const id = widgets.render(where, o);
      if (o.execution !== 'execute') widgets.run(id).catch(() => {});
      return id;
    },
    execute: (where) => { widgets.run(typeof where === 'string' && !/^[#.]/.test(where) ? where : undefined).catch(() => {}); },
    reset(id) {
      widgets.reset(id);
      if (widgets.widget(id).o.execution !== 'execute') widgets.run(id).catch(() => {});
    },
    remove: widgets.remove,
    getResponse: widgets.response,
    isExpired: (id) => widgets.response(id) === '',
    expire: widgets.expire,
  };
  call(query.get('onload'));
