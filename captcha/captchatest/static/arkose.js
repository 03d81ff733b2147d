
  let config = {};
  let token = '';
  const enforcement = {
    setConfig(c) {
      config = Object.assign({}, config, c);
      call(config.onReady);
    },
    getConfig: () => config,
    run() {
      call(config.onShow);
      mint({ sitekey: config.publicKey || script.getAttribute('data-pkey') || query.get('key') }).then((t) => {
        token = t;
        call(config.onCompleted, { token, completed: true, suppressed: false, error: null });
      }, () => call(config.onError, { error: { error: 'stand-in' } }));
    },
    reset() { token = ''; },
    dataResponse: () => token,
  };
  call(script.getAttribute('data-callback'), enforcement);
