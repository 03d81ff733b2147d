package risktest

import (
	"hash/maphash"
	"math"
	"reflect"
)

// fingerprints hash everything that can be reached from a value, so that a change anywhere shows.
type fingerprints struct {
	seed maphash.Seed
	seen map[uintptr]bool
	hash *maphash.Hash
}

func fingerprint(v any, seed maphash.Seed) uint64 {
	p := fingerprints{seed: seed, seen: map[uintptr]bool{}, hash: &maphash.Hash{}}
	p.hash.SetSeed(seed)
	p.walk(reflect.ValueOf(v), 0)
	return p.hash.Sum64()
}

func (p *fingerprints) number(n uint64) { maphash.WriteComparable(p.hash, n) }

func (p *fingerprints) walk(v reflect.Value, depth int) {
	const deepest = 64
	p.number(uint64(v.Kind()))
	if depth > deepest {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		maphash.WriteComparable(p.hash, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.number(uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		p.number(v.Uint())
	case reflect.Float32, reflect.Float64:
		p.number(math.Float64bits(v.Float()))
	case reflect.Complex64, reflect.Complex128:
		p.number(math.Float64bits(real(v.Complex())))
		p.number(math.Float64bits(imag(v.Complex())))
	case reflect.String:
		p.number(uint64(v.Len()))
		_, _ = p.hash.WriteString(v.String())
	case reflect.Interface:
		p.walk(v.Elem(), depth+1)
	case reflect.Pointer:
		if v.IsNil() || p.seen[v.Pointer()] {
			return
		}
		p.seen[v.Pointer()] = true
		p.walk(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			p.walk(v.Field(i), depth+1)
		}
	case reflect.Array, reflect.Slice:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			_, _ = p.hash.Write(v.Bytes())
			return
		}
		p.number(uint64(v.Len()))
		for i := range v.Len() {
			p.walk(v.Index(i), depth+1)
		}
	case reflect.Map:
		p.walkMap(v, depth)
	}
}

// walkMap adds up hashes of the entries, so that their order does not show.
func (p *fingerprints) walkMap(v reflect.Value, depth int) {
	sum := uint64(v.Len())
	outer := p.hash
	for it := v.MapRange(); it.Next(); {
		p.hash = &maphash.Hash{}
		p.hash.SetSeed(p.seed)
		p.walk(it.Key(), depth+1)
		p.walk(it.Value(), depth+1)
		sum += p.hash.Sum64()
	}
	p.hash = outer
	p.number(sum)
}
