package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// Token finds an identity token.
type Token func(ctx context.Context) (string, error)

// FromEnv takes the token from an environment variable.
func FromEnv(name string, getenv func(string) string) Token {
	return func(context.Context) (string, error) {
		token := strings.TrimSpace(getenv(name))
		if token == "" {
			return "", fmt.Errorf("the variable %s is empty: is the job allowed to have an identity token?", name)
		}
		return token, nil
	}
}

// FromFile takes the token from a file, such as the one that Kubernetes projects.
func FromFile(name string) Token {
	return func(context.Context) (string, error) {
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		token := strings.TrimSpace(string(content))
		if token == "" {
			return "", fmt.Errorf("%s is empty", name)
		}
		return token, nil
	}
}

// The variables with which GitHub Actions offers identity tokens.
const (
	gitHubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	gitHubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

// FromGitHub asks GitHub Actions for a token that is made for audience.
//
// https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token
func FromGitHub(client *http.Client, audience string, getenv func(string) string) Token {
	return func(ctx context.Context) (string, error) {
		from, secret := getenv(gitHubURL), getenv(gitHubToken)
		if from == "" || secret == "" {
			return "", errors.New("GitHub offers this job no identity token: give it `permissions: {id-token: write, contents: read}`")
		}
		u, err := url.Parse(from)
		if err != nil {
			return "", fmt.Errorf("%s: %w", gitHubURL, err)
		}
		q := u.Query()
		q.Set("audience", audience)
		u.RawQuery = q.Encode()
		if err := private(u); err != nil {
			return "", fmt.Errorf("%s: %w", gitHubURL, err)
		}
		body, err := get(ctx, client, u, "Bearer "+secret)
		if err != nil {
			return "", fmt.Errorf("ask GitHub for an identity token: %w", err)
		}
		var answer struct{ Value string }
		if err := json.Unmarshal(body, &answer); err != nil || answer.Value == "" {
			return "", errors.New("ask GitHub for an identity token: the answer holds none")
		}
		return answer.Value, nil
	}
}

// Find chooses where a token is, from what the environment offers: GitHub's
// service, the variable LARDER_ID_TOKEN (for GitLab's id_tokens), or the file that
// AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_WEB_IDENTITY_TOKEN_FILE names.
func Find(client *http.Client, audience string, getenv func(string) string) (Token, error) {
	if getenv(gitHubURL) != "" {
		return FromGitHub(client, audience, getenv), nil
	}
	if getenv(IDToken) != "" {
		return FromEnv(IDToken, getenv), nil
	}
	for _, name := range []string{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
		if file := getenv(name); file != "" {
			return FromFile(file), nil
		}
	}
	return nil, errors.New("no identity token: say --github, --oidc-token-env or --oidc-token-file")
}

// IDToken is the variable that Find takes a token from.
const IDToken = "LARDER_ID_TOKEN" //nolint:gosec // the name of a variable
