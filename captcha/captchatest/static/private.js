
  // The vendor's script finds elements of class private-captcha by itself.
  function attach(element) {
    box(element, 'private_captcha');
    const widget = {
      execute() {
        return mint({ sitekey: element.getAttribute('data-sitekey') }).then((token) => {
          field(element, element.getAttribute('data-solution-field') || 'private-captcha-solution', token);
          widget.token = token;
          call(element.getAttribute('data-finished-callback'), widget);
        }, () => call(element.getAttribute('data-errored-callback'), widget));
      },
      reset() { widget.token = ''; },
      solution: () => widget.token,
      token: '',
    };
    element._privateCaptcha = widget;
    widget.execute();
    return widget;
  }
  window.privateCaptcha = {
    render: (where) => attach(find(where)),
    setup: () => document.querySelectorAll('.private-captcha').forEach((e) => { if (!e._privateCaptcha) attach(e); }),
  };
  ready(window.privateCaptcha.setup);
