// Command webservice is what the demo's tenant rents machines for: a small HTTP service that says where it runs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	address         = ":8080"
	shutdownTimeout = 2 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: address, Handler: handler(time.Now()), ReadHeaderTimeout: time.Second}
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			log.Print(err)
		}
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

// handler answers every request with who it is and for how long it has run.
func handler(started time.Time) http.Handler {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]any{
			"service":  "isuncoin demo",
			"host":     host,
			"greeting": os.Getenv("GREETING"),
			"up":       time.Since(started).Round(time.Millisecond).String(),
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			log.Print(err)
		}
	})
}
