// Package jsonhttp is the one way this module talks to providers: a bounded HTTP call with a JSON answer. It follows no
// redirects, reads no more than it must, retries nothing, decodes strictly, and its errors hold no URL, header or body:
// secrets travel in all three.
package jsonhttp
