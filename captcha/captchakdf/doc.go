// Package captchakdf adds the memory-hard algorithms of ALTCHA v2 to a proof of work: SCRYPT and ARGON2ID. They cost an
// attacker's hardware about what they cost a browser, where PBKDF2 is cheap on graphics cards.
//
//	argon, err := captchakdf.NewArgon2id(nil)
//	pow, err := captcha.NewPoW(keys, guard, &captcha.PoWOptions{
//		Algorithm:      captchakdf.ARGON2ID,
//		KDFs:           []captcha.KDF{argon},
//		Steps:          []captcha.Step{{Work: captcha.Work{Cost: 1, MemoryCost: 19 << 10, Parallelism: 1}, Digits: 1}},
//		MaxDerivations: 4, // 4 * 19 MiB at most
//		Deterministic:  true,
//	})
//
// The script of package captcha does not solve them; use the official ALTCHA widget with its workers for them.
//
// # Security considerations
//
// In random mode a server pays for every answer what a visitor pays for one try: 25 to 160 ms and 16 to 64 MiB. PoW
// refuses what is forged, expired or used before anything is derived, and PoWOptions.MaxDerivations bounds how many run
// at once; each of them may take MaxMemory. Set both so that their product fits into memory. In deterministic mode the
// work is done when a challenge is issued instead: limit who may ask for one.
package captchakdf
