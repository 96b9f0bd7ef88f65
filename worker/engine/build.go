package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/docker/docker/api/types/build"

	"github.com/isuncoin/isuncoin/uai"
)

// BuildOptions describe a build.
type BuildOptions struct {
	// Context is the folder that the instructions see.
	Context string
	// Dockerfile lies in the context; empty means "Dockerfile".
	Dockerfile string
	Args       map[string]string
	// Platform is the engine's own if empty.
	Platform string
}

// Build has the engine carry out a Dockerfile and gives the image's id. The
// engine's words go to out.
func (e *Engine) Build(ctx context.Context, opts BuildOptions, out io.Writer) (string, error) {
	ignored, err := readIgnore(opts.Context)
	if err != nil {
		return "", err
	}
	dockerfile := opts.Dockerfile
	if dockerfile == "" {
		dockerfile = "Dockerfile"
	}
	if !filepath.IsLocal(dockerfile) {
		return "", fmt.Errorf("%w: %s is not in the build context %s", uai.ErrMalformed, dockerfile, opts.Context)
	}
	args := map[string]*string{}
	for name, value := range opts.Args {
		args[name] = &value
	}
	reader, writer := io.Pipe()
	go func() {
		writer.CloseWithError(uai.WriteTree(writer, opts.Context, uai.TreeOptions{Skip: func(name string, _ fs.DirEntry) bool {
			return name != dockerfile && ignored.matches(name)
		}}))
	}()
	defer reader.Close()
	response, err := e.api.ImageBuild(ctx, reader, build.ImageBuildOptions{
		Dockerfile: filepath.ToSlash(dockerfile), BuildArgs: args, Platform: opts.Platform, Remove: true, ForceRemove: true,
	})
	if err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	defer response.Body.Close()
	id, err := readMessages(response.Body, out)
	if err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	if id == "" {
		return "", errors.New("build: the engine did not say what it built")
	}
	return id, nil
}

// ignoreRules are the lines of a .dockerignore file.
type ignoreRules []ignoreRule

type ignoreRule struct {
	pattern string
	except  bool
}

func readIgnore(dir string) (ignoreRules, error) {
	raw, err := os.ReadFile(filepath.Join(dir, ".dockerignore"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	var rules ignoreRules
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pattern, except := strings.CutPrefix(line, "!")
		pattern = strings.TrimPrefix(path.Clean(strings.TrimSpace(pattern)), "/")
		if _, err := path.Match(strings.ReplaceAll(pattern, "**", "*"), "x"); err != nil {
			return nil, fmt.Errorf("%w: .dockerignore: %q: %w", uai.ErrMalformed, line, err)
		}
		rules = append(rules, ignoreRule{pattern: pattern, except: except})
	}
	return rules, nil
}

// matches says whether a name is left out: the last rule that speaks of it or
// of a folder above it decides. A folder that an exception may lie in is kept,
// and what is in it is asked about by itself.
func (r ignoreRules) matches(name string) bool {
	out := false
	for _, rule := range r {
		switch {
		case !rule.except && rule.speaksOf(name):
			out = true
		case rule.except && (rule.speaksOf(name) || strings.HasPrefix(rule.pattern, name+"/") || strings.HasPrefix(rule.pattern, "**")):
			out = false
		}
	}
	return out
}

func (r ignoreRule) speaksOf(name string) bool {
	for part := name; part != "."; part = path.Dir(part) {
		if matchParts(strings.Split(r.pattern, "/"), strings.Split(part, "/")) {
			return true
		}
	}
	return false
}

// matchParts matches a path with a pattern in which ** is any number of
// folders.
func matchParts(pattern, parts []string) bool {
	if len(pattern) == 0 {
		return len(parts) == 0
	}
	if pattern[0] == "**" {
		for skip := range len(parts) + 1 {
			if matchParts(pattern[1:], parts[skip:]) {
				return true
			}
		}
		return false
	}
	if len(parts) == 0 {
		return false
	}
	ok, err := path.Match(pattern[0], parts[0])
	return err == nil && ok && matchParts(pattern[1:], parts[1:])
}
