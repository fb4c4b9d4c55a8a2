package s3_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/s3"
)

func TestConfig(t *testing.T) {
	yes := true
	key32 := action.Secret(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))))
	tests := []struct {
		name   string
		config s3.Config
		want   []string // the keys that are refused
	}{
		{"least", s3.Config{Bucket: "shop-logs"}, nil},
		{"all", s3.Config{Bucket: "shop.logs", Region: "eu-central-1", Endpoint: "https://minio.example.com:9000/", PathStyle: &yes, Key: "a/{{ .Unit }}/{{ .ID }}.gz", Compress: "gzip",
			ContentType: "text/plain; charset=utf-8", StorageClass: "STANDARD_IA", Encryption: "aws:kms", KMSKeyID: "arn:aws:kms:eu-central-1:1:key/2",
			AccessKey: "a", SecretKey: "b", SessionToken: "c", Timeout: time.Minute}, nil},
		{"field", s3.Config{Bucket: "uploads", Field: "BODY", ContentType: "{{ .Fields.CONTENT_TYPE }}", Key: `{{ .Time.UTC.Format "2006" }}/{{ .ID }}.pdf`}, nil},
		{"own key", s3.Config{Bucket: "shop-logs", CustomerKey: key32, Profile: "shop", CredentialsFile: "/etc/aws"}, nil},
		{"id by a function that an empty entry is too short for", s3.Config{Bucket: "shop-logs", Key: "{{ slice .Captures.commit 0 7 }}/{{ .ID }}"}, nil},
		{"nothing", s3.Config{}, []string{"bucket"}},
		{"bucket as a URL", s3.Config{Bucket: "s3://shop"}, []string{"bucket"}},
		{"bucket in upper case", s3.Config{Bucket: "Shop"}, []string{"bucket"}},
		{"directory bucket", s3.Config{Bucket: "shop--use1-az4--x-s3"}, []string{"bucket"}},
		{"region", s3.Config{Bucket: "shop-logs", Region: "eu.example.com/"}, []string{"region"}},
		{"region with a slip", s3.Config{Bucket: "shop-logs", Region: "eu-centrall-1"}, []string{"region"}},
		{"region of another service", s3.Config{Bucket: "shop-logs", Region: "garage", Endpoint: "https://garage.example.com"}, nil},
		{"region of China", s3.Config{Bucket: "shop-logs", Region: "cn-north-1"}, nil},
		{"region in the endpoint", s3.Config{Bucket: "shop-logs", Endpoint: "https://s3.eu-west-1.amazonaws.com"}, nil},
		{"endpoint without scheme", s3.Config{Bucket: "shop-logs", Endpoint: "minio:9000"}, []string{"endpoint"}},
		{"endpoint with a path", s3.Config{Bucket: "shop-logs", Endpoint: "https://minio/shop"}, []string{"endpoint"}},
		{"endpoint with a user", s3.Config{Bucket: "shop-logs", Endpoint: "https://a:b@minio"}, []string{"endpoint"}},
		{"endpoint without a host", s3.Config{Bucket: "shop-logs", Endpoint: "https://:9000"}, []string{"endpoint"}},
		{"endpoint with a space", s3.Config{Bucket: "shop-logs", Endpoint: "https://a b"}, []string{"endpoint"}},
		{"key without id", s3.Config{Bucket: "shop-logs", Key: "{{ .Unit }}.zst"}, []string{"key"}},
		{"key with a part of the id", s3.Config{Bucket: "shop-logs", Key: "{{ slice .ID 0 2 }}.zst"}, []string{"key"}},
		{"key with a bad template", s3.Config{Bucket: "shop-logs", Key: "{{ .Nope }}/{{ .ID }}"}, []string{"key"}},
		{"key with a leading slash", s3.Config{Bucket: "shop-logs", Key: "/{{ .ID }}"}, []string{"key"}},
		{"key with two slashes", s3.Config{Bucket: "shop-logs", Key: "a//{{ .ID }}"}, []string{"key"}},
		{"key with a final slash", s3.Config{Bucket: "shop-logs", Key: "{{ .ID }}/"}, []string{"key"}},
		{"key that goes up", s3.Config{Bucket: "shop-logs", Key: "../{{ .ID }}"}, []string{"key"}},
		{"key with a line break", s3.Config{Bucket: "shop-logs", Key: "a\n{{ .ID }}"}, []string{"key"}},
		{"key of the other compression", s3.Config{Bucket: "shop-logs", Key: "{{ .ID }}.gz"}, []string{"key"}},
		{"key of no compression", s3.Config{Bucket: "shop-logs", Key: "{{ .ID }}.zst", Compress: "none"}, []string{"key"}},
		{"compression", s3.Config{Bucket: "shop-logs", Compress: "brotli"}, []string{"compress"}},
		{"field in lower case", s3.Config{Bucket: "shop-logs", Field: "body"}, []string{"field"}},
		{"content type", s3.Config{Bucket: "shop-logs", ContentType: "pdf of mine"}, []string{"content_type"}},
		{"content type's template", s3.Config{Bucket: "shop-logs", ContentType: "{{ .Nope }}"}, []string{"content_type"}},
		{"storage class", s3.Config{Bucket: "shop-logs", StorageClass: "cold storage"}, []string{"storage_class"}},
		{"encryption", s3.Config{Bucket: "shop-logs", Encryption: "rot13"}, []string{"encryption"}},
		{"KMS key alone", s3.Config{Bucket: "shop-logs", KMSKeyID: "x"}, []string{"kms_key_id"}},
		{"KMS key with a line break", s3.Config{Bucket: "shop-logs", Encryption: "aws:kms", KMSKeyID: "x\n"}, []string{"kms_key_id"}},
		{"own key too short", s3.Config{Bucket: "shop-logs", CustomerKey: "c2hvcnQ="}, []string{"customer_key"}},
		{"own key over http", s3.Config{Bucket: "shop-logs", CustomerKey: key32, Endpoint: "http://minio"}, []string{"customer_key"}},
		{"own key beside encryption", s3.Config{Bucket: "shop-logs", CustomerKey: key32, Encryption: "AES256"}, []string{"customer_key"}},
		{"half a key", s3.Config{Bucket: "shop-logs", AccessKey: "a"}, []string{"secret_key"}},
		{"the other half", s3.Config{Bucket: "shop-logs", SecretKey: "a"}, []string{"access_key"}},
		{"token alone", s3.Config{Bucket: "shop-logs", SessionToken: "a"}, []string{"session_token"}},
		{"key and profile", s3.Config{Bucket: "shop-logs", AccessKey: "a", SecretKey: "b", Profile: "shop"}, []string{"access_key"}},
		{"secret with a line break", s3.Config{Bucket: "shop-logs", AccessKey: "a", SecretKey: "b\n"}, []string{"secret_key"}},
		{"relative file", s3.Config{Bucket: "shop-logs", CredentialsFile: "aws"}, []string{"credentials_file"}},
		{"timeout", s3.Config{Bucket: "shop-logs", Timeout: -1}, []string{"timeout"}},
		{"tls without it", s3.Config{Bucket: "shop-logs", Endpoint: "http://127.0.0.1:9000", TLS: action.TLS{ServerName: "x"}}, []string{"tls"}},
		{"tls", s3.Config{Bucket: "shop-logs", TLS: action.TLS{CA: "relative"}}, []string{"tls.ca"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := s3.New(tt.config)
			if (a == nil) != (err != nil) {
				t.Errorf("New = %v, %v", a, err)
			}
			if diff := cmp.Diff(tt.want, actiontest.RefusedKeys(t, err)); diff != "" {
				t.Errorf("refused (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
}

// TestRequest: the headers that the settings make.
func TestRequest(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	tests := []struct {
		name   string
		change func(*s3.Config)
		path   string
		want   map[string]string
	}{
		{"plain", func(c *s3.Config) {}, "/the-bucket/0001/01/01/0123.ndjson.zst", map[string]string{
			"Content-Type": "application/x-ndjson", "Content-Encoding": "zstd", "X-Amz-Server-Side-Encryption": "", "X-Amz-Storage-Class": "",
			"X-Amz-Meta-Delivery-Id": "0123", "X-Amz-Meta-Rule": "r", "X-Amz-Meta-Entries": "1"}},
		{"gzip", func(c *s3.Config) { c.Compress = "gzip" }, "/the-bucket/0001/01/01/0123.ndjson.gz", map[string]string{"Content-Encoding": "gzip"}},
		{"none", func(c *s3.Config) { c.Compress = "none" }, "/the-bucket/0001/01/01/0123.ndjson", map[string]string{"Content-Encoding": ""}},
		{"SSE-S3", func(c *s3.Config) { c.Encryption = "AES256" }, "", map[string]string{"X-Amz-Server-Side-Encryption": "AES256"}},
		{"SSE-KMS", func(c *s3.Config) { c.Encryption, c.KMSKeyID = "aws:kms", "alias/x" }, "", map[string]string{
			"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "alias/x"}},
		{"SSE-C", func(c *s3.Config) { c.CustomerKey = action.Secret(key) }, "", map[string]string{
			"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256", "X-Amz-Server-Side-Encryption-Customer-Key": key}},
		{"storage class", func(c *s3.Config) { c.StorageClass = "GLACIER_IR" }, "", map[string]string{"X-Amz-Storage-Class": "GLACIER_IR"}},
		{"content type", func(c *s3.Config) { c.ContentType = "text/x-{{ .Rule }}" }, "", map[string]string{"Content-Type": "text/x-r"}},
		{"content type that is none", func(c *s3.Config) { c.ContentType = "{{ .Fields.NOPE }}" }, "", map[string]string{"Content-Type": "application/octet-stream"}},
		{"session token", func(c *s3.Config) { c.SessionToken = "the-token" }, "", map[string]string{"X-Amz-Security-Token": "the-token"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var request *http.Request
			s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"1"`)
				mu.Lock()
				defer mu.Unlock()
				request = r
			}))
			defer s.Close()
			c := settings(s.URL, "the-bucket")
			c.TLS.CA = pemOf(s.Certificate())
			tt.change(&c)
			err := newAction(t, c).Deliver(t.Context(), []action.Message{{ID: "0123", Rule: "r", Text: "x"}})
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for name, want := range tt.want {
				if got := request.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if request.Header.Get("Content-Md5") == "" {
				t.Error("the service cannot tell whether the content has arrived as it was sent")
			}
			if tt.path != "" && request.URL.Path != tt.path {
				t.Errorf("%s, want %s", request.URL.Path, tt.path)
			}
		})
	}
}

// TestTarget: where objects go, by region, endpoint and path style.
func TestTarget(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		config s3.Config
		env    string // AWS_REGION
		want   string
	}{
		{s3.Config{}, "", "https://shop-logs.s3.dualstack.us-east-1.amazonaws.com/a/b"},
		{s3.Config{}, "eu-west-1", "https://shop-logs.s3.dualstack.eu-west-1.amazonaws.com/a/b"},
		{s3.Config{Region: "eu-central-1"}, "eu-west-1", "https://shop-logs.s3.dualstack.eu-central-1.amazonaws.com/a/b"},
		{s3.Config{Region: "cn-north-1"}, "", "https://shop-logs.s3.dualstack.cn-north-1.amazonaws.com.cn/a/b"},
		{s3.Config{Endpoint: "https://s3.eu-west-3.amazonaws.com"}, "eu-west-1", "https://shop-logs.s3.dualstack.eu-west-3.amazonaws.com/a/b"},
		{s3.Config{Region: "eu-central-1", PathStyle: &yes}, "", "https://s3.dualstack.eu-central-1.amazonaws.com/shop-logs/a/b"},
		{s3.Config{Endpoint: "http://minio:9000"}, "", "http://minio:9000/shop-logs/a/b"},
		{s3.Config{Endpoint: "https://storage.example.com/", PathStyle: &no}, "", "https://shop-logs.storage.example.com/a/b"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			t.Setenv("AWS_REGION", tt.env)
			tt.config.Bucket = "shop-logs"
			if got, err := newAction(t, tt.config).Target(t.Context(), "a/b"); err != nil || got != tt.want {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}
