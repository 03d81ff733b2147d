// Package camara connects package phone to mobile networks through the CAMARA APIs (GSMA Open Gateway), as operators and
// their partners offer them: Number Verification 2.1, SIM Swap 2.1, Device Swap 1.0 and Number Recycling 0.2.
//
//	network, err := camara.NewIntelligence("https://api.operator.example", tokens, nil)
//	silent, err := camara.NewNumberVerification("https://api.operator.example", nil)
//	...
//	ok, err := silent.VerifyDevice(ctx, userToken, number)
//	if errors.Is(err, phone.ErrNotMobile) {
//		// the device is on Wi-Fi: send a code
//	}
//
// # Quirks
//
// A device on Wi-Fi is a 403 that means: fall back to a code. No date of a swap together with a monitored period means
// "not within so many days", never "never". 422 says that the number was given or left out at odds with the token: an
// error of ours. A hashed number is the SHA-256 of the E.164 form with '+', in hexadecimal.
//
// # Security considerations
//
// The token of Number Verification comes from the visitor's own authorization over mobile data and is worth what the
// operator's authorization is worth; the host must have obtained it by the code flow itself, never from a form field.
//
// All of this was proven against the published specifications and the fakes of package phonetest; no operator was called.
package camara
