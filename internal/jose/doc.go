// Package jose is the one place of this module that knows its JOSE library: encrypted and signed tokens in the compact
// form, with the algorithms the caller names and no others. Headers are held against a list before any key is touched:
// what a token says about its own algorithms, keys, compression or iteration counts is never followed.
package jose
