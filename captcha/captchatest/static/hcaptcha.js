
  const widgets = set('hcaptcha', 'h-captcha-response', '');
  window.hcaptcha = {
    render(where, o) {
      const id = widgets.render(where, o);
      if (o.size !== 'invisible') widgets.run(id).catch(() => {});
      return id;
    },
    execute(id, options) {
      const p = widgets.run(id);
      if (options && options.async) return p.then((token) => ({ response: token, key: 'stand-in' }));
      p.catch(() => {});
      return undefined;
    },
    reset: widgets.reset,
    remove: widgets.remove,
    getResponse: widgets.response,
    getRespKey: () => 'stand-in',
    expire: widgets.expire,
  };
  call(query.get('onload'));
