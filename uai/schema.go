package uai

import (
	"bytes"
	_ "embed" // the schema
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// ConfigSchema is the JSON schema (draft 2020-12) of the configuration.
//
//go:embed schema/config-v1.json
var ConfigSchema []byte

const schemaURL = "urn:isuncoin:uai:config:v1"

// compiled is the schema, made ready when it is first asked. It is part of
// the program, so that it does not compile is a mistake in this package.
var compiled = sync.OnceValue(func() *jsonschema.Schema {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(ConfigSchema))
	if err != nil {
		panic(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource(schemaURL, document); err != nil {
		panic(err)
	}
	return compiler.MustCompile(schemaURL)
})

// maxComplaints keeps an error about a document that is wrong everywhere
// readable.
const maxComplaints = 5

// checkSchema says in ErrMalformed which fields are wrong, and how.
func checkSchema(raw []byte) error {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("%w: UAI configuration: %w", ErrMalformed, err)
	}
	err = compiled().Validate(document)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	complaints := complaintsOf(invalid, message.NewPrinter(language.English))
	if len(complaints) > maxComplaints {
		complaints = append(complaints[:maxComplaints], fmt.Sprintf("and %d more", len(complaints)-maxComplaints))
	}
	return fmt.Errorf("%w: UAI configuration: %s", ErrMalformed, strings.Join(complaints, "; "))
}

// complaintsOf lists the innermost causes: the outer ones only say that there
// are inner ones.
func complaintsOf(e *jsonschema.ValidationError, printer *message.Printer) []string {
	if len(e.Causes) == 0 {
		where := strings.Join(e.InstanceLocation, ".")
		if where == "" {
			where = "document"
		}
		return []string{fmt.Sprintf("%.200s: %.300s", where, e.ErrorKind.LocalizedString(printer))}
	}
	var complaints []string
	for _, cause := range e.Causes {
		complaints = append(complaints, complaintsOf(cause, printer)...)
	}
	return complaints
}
