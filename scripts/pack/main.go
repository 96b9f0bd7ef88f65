// Command pack builds a Go command of this repository without cgo and packs it into an image of an OCI layout folder, with
// no registry and no Docker. It prints the digest under which the image is published.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/isuncoin/isuncoin/tests/stack"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: go run ./scripts/pack PACKAGE LAYOUT_FOLDER\n\nexample: go run ./scripts/pack ./scripts/demo/webservice build/images")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, pkg, layout string) error {
	dir, err := os.MkdirTemp("", "isun-pack")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	digest, err := stack.PackService(ctx, dir, layout, pkg)
	if err != nil {
		return err
	}
	fmt.Println(digest)
	return nil
}
