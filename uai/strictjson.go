package uai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxJSONDepth is far beyond any index or configuration, and far below what
// would cost a reader its stack.
const maxJSONDepth = 64

// freeKeys name objects whose keys are somebody's own words, in which "Path"
// and "path" are two.
var freeKeys = []string{"annotations", "Labels", "labels", "ExposedPorts", "Volumes"}

// checkJSON refuses what two readers could understand differently: a key that
// occurs twice in an object, even in other letters, since some readers take no
// notice of case, and anything after the end.
func checkJSON(raw []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := checkValue(decoder, "", 0); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the JSON document", ErrMalformed)
	}
	return nil
}

func checkValue(decoder *json.Decoder, name string, depth int) error {
	if depth > maxJSONDepth {
		return fmt.Errorf("JSON is nested deeper than %d", maxJSONDepth)
	}
	token, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	delimiter, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for decoder.More() {
		if delimiter == '{' {
			key, err := decoder.Token()
			if err != nil {
				return fmt.Errorf("JSON: %w", err)
			}
			text, _ := key.(string) // an object's keys are strings
			if err := checkKey(seen, name, text); err != nil {
				return err
			}
			if err := checkValue(decoder, text, depth+1); err != nil {
				return err
			}
			continue
		}
		if err := checkValue(decoder, name, depth+1); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	return nil
}

func checkKey(seen map[string]bool, object, key string) error {
	folded := key
	if !slices.Contains(freeKeys, object) {
		folded = strings.ToLower(key)
	}
	if seen[folded] {
		return fmt.Errorf("JSON has the key %.100q twice in one object", key)
	}
	seen[folded] = true
	return nil
}
