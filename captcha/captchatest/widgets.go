package captchatest

import _ "embed"

// The stand-in widgets. All share widgetBase, which opens a function that each vendor's part is put into.
//
//go:embed static/base.js
var widgetBase string

//go:embed static/turnstile.js
var turnstileWidget string

//go:embed static/hcaptcha.js
var hcaptchaWidget string

//go:embed static/recaptcha.js
var recaptchaWidget string

//go:embed static/enterprise.js
var enterpriseWidget string

//go:embed static/friendly.js
var friendlyWidget string

//go:embed static/arkose.js
var arkoseWidget string

//go:embed static/geetest.js
var geetestWidget string

//go:embed static/private.js
var privateWidget string

//go:embed static/cap.js
var capWidget string

//go:embed static/mcaptcha.js
var mcaptchaWidget string

//go:embed static/frame.html
var widgetFrame string
