
  const widgets = set('recaptcha', 'g-recaptcha-response', 0);
  window.grecaptcha = window.grecaptcha || {};
  window.grecaptcha.enterprise = {
    ready,
    render(where, o) {
      const id = widgets.render(where, o);
      if (o.size !== 'invisible') widgets.run(id).catch(() => {});
      return id;
    },
    execute(key, o) {
      if (typeof key === 'string') return mint({ sitekey: key, action: o && o.action });
      return widgets.run(key);
    },
    reset: widgets.reset,
    getResponse: widgets.response,
    expire: widgets.expire,
  };
  call(query.get('onload'));
