
  window.initGeetest4 = function (config, then) {
    const on = {};
    let answer = null;
    const captcha = {
      appendTo(where) {
        box(where, 'geetest');
        return captcha;
      },
      showCaptcha() {
        mint({ sitekey: config.captchaId }).then((token) => {
          answer = Object.assign({ captcha_id: config.captchaId }, JSON.parse(token));
          call(on.success);
        }, () => call(on.error, { code: 'stand-in' }));
      },
      showBox: () => captcha.showCaptcha(),
      getValidate: () => answer || false,
      reset() { answer = null; },
      destroy() { answer = null; },
    };
    ['Ready', 'Success', 'Error', 'Close', 'Fail'].forEach((name) => {
      captcha['on' + name] = (f) => {
        on[name.toLowerCase()] = f;
        if (name === 'Ready') ready(f);
        return captcha;
      };
    });
    then(captcha);
  };
