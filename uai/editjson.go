package uai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// The functions of this file change values within a JSON text and keep every
// other byte, so that what is changed back has the digest it had.

// edits are new values by their key.
type edits map[string]func(json.RawMessage) (json.RawMessage, error)

// editObject changes values of an object. Keys that it lacks stay away.
func editObject(raw []byte, change edits) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("%w: no JSON object", ErrMalformed)
	}
	var out []byte
	kept := 0
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		value, start, end, err := nextValue(decoder)
		if err != nil {
			return nil, err
		}
		edit := change[key.(string)] // an object's keys are strings
		if edit == nil {
			continue
		}
		fresh, err := edit(value)
		if err != nil {
			return nil, err
		}
		out = append(append(out, raw[kept:start]...), fresh...)
		kept = end
	}
	return append(out, raw[kept:]...), nil
}

// editArray changes or, by giving nil, removes the values of an array. Only
// one that loses values also loses the space between them.
func editArray(raw []byte, change func(json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if token, err := decoder.Token(); err != nil || token != json.Delim('[') {
		return nil, fmt.Errorf("%w: no JSON array", ErrMalformed)
	}
	var out []byte
	var stay [][]byte
	kept, removed := 0, false
	for decoder.More() {
		value, start, end, err := nextValue(decoder)
		if err != nil {
			return nil, err
		}
		fresh, err := change(value)
		if err != nil {
			return nil, err
		}
		if fresh == nil {
			removed = true
			continue
		}
		stay = append(stay, fresh)
		out = append(append(out, raw[kept:start]...), fresh...)
		kept = end
	}
	if removed {
		return slices.Concat([]byte("["), bytes.Join(stay, []byte(",")), []byte("]")), nil
	}
	return append(out, raw[kept:]...), nil
}

// nextValue reads a value and tells where in the text it is.
func nextValue(decoder *json.Decoder) (value json.RawMessage, start, end int, err error) {
	if err := decoder.Decode(&value); err != nil {
		return nil, 0, 0, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	end = int(decoder.InputOffset())
	return value, end - len(value), end, nil
}

// editDescriptor lets a descriptor be of another blob. One that holds the
// content itself is refused: it would go on telling the old one.
func editDescriptor(raw json.RawMessage, blob Blob) (json.RawMessage, error) {
	set := func(text string) func(json.RawMessage) (json.RawMessage, error) {
		return func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage(text), nil }
	}
	change := edits{
		"digest": set(strconv.Quote(blob.Digest.String())),
		"size":   set(strconv.FormatInt(blob.Size, 10)),
		"data": func(json.RawMessage) (json.RawMessage, error) {
			return nil, fmt.Errorf("%w: a descriptor has the content in it", ErrMalformed)
		},
	}
	if blob.MediaType != "" {
		change["mediaType"] = set(strconv.Quote(blob.MediaType))
	}
	return editObject(raw, change)
}
