// Toolbox is all that pods of the harness's own image run: no shell, no library, one static file.
package main

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const usage = "toolbox pause | say TEXT... | write FILE TEXT | read FILE | mkdir FOLDER | list FOLDER | get URL | serve ADDRESS TEXT"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: %s", usage)
	}
	do, args := args[0], args[1:]
	switch {
	case do == "pause" && len(args) == 0:
		pause()
		return nil
	case do == "say":
		fmt.Println(strings.Join(args, " "))
		return nil
	case do == "write" && len(args) == 2:
		return os.WriteFile(args[0], []byte(args[1]), 0o644)
	case do == "read" && len(args) == 1:
		content, err := os.ReadFile(args[0])
		fmt.Print(string(content))
		return err
	case do == "mkdir" && len(args) == 1:
		return os.MkdirAll(args[0], 0o755)
	case do == "list" && len(args) == 1:
		return list(args[0])
	case do == "get" && len(args) == 1:
		return get(args[0])
	case do == "serve" && len(args) == 2:
		return serve(args[0], args[1])
	}
	return fmt.Errorf("usage: %s", usage)
}

// pause holds a pod's namespaces until it is told to go.
func pause() {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	<-asked
}

// list prints the files below a folder, one a line.
func list(folder string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			fmt.Println(path)
		}
		return err
	})
}

// get resolves the name by the pod's resolv.conf: Go without cgo asks its servers itself.
func get(url string) error {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Println(response.StatusCode, string(body))
	return err
}

func serve(address, text string) error {
	go func() {
		pause()
		os.Exit(0)
	}()
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, text)
	}))
}
