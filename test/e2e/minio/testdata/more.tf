provider "minio" {
  minio_server   = "minio.magicloud.lan:443"
  minio_user     = "minio"
  minio_password = "minio123"
  minio_ssl      = true
}
variable "changed" {
  type    = bool
  default = false
}
locals {
  reader = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = var.changed ? ["s3:GetObject", "s3:PutObject"] : ["s3:GetObject"], Resource = ["arn:aws:s3:::shelf/*"] }]
  })
}
resource "minio_s3_bucket" "shelf" {
  bucket = "shelf"
  quota  = var.changed ? 2000000 : 1000000
}
resource "minio_s3_bucket" "box" {
  bucket        = "box"
  force_destroy = true
}
resource "minio_s3_bucket_policy" "box" {
  bucket = minio_s3_bucket.box.bucket
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = ["*"] }
      Action    = var.changed ? ["s3:GetObject", "s3:PutObject"] : ["s3:GetObject"]
      Resource  = ["arn:aws:s3:::box/*"]
    }]
  })
}
resource "minio_s3_object" "label" {
  bucket_name  = minio_s3_bucket.box.bucket
  object_name  = "labels/one.txt"
  content      = var.changed ? "second" : "first"
  content_type = "text/plain"
}
resource "minio_iam_policy" "reader" {
  name   = "reader"
  policy = local.reader
}
resource "minio_iam_user" "ann" {
  name          = "ann"
  secret        = "ann-secret-1"
  disable_user  = var.changed
  force_destroy = true
}
resource "minio_iam_user" "ben" {
  name          = "ben"
  secret        = var.changed ? "ben-secret-2" : "ben-secret-1"
  force_destroy = true
}
resource "minio_iam_user" "cem" {
  name          = "cem"
  secret        = "cem-secret-1"
  force_destroy = true
}
resource "minio_iam_group" "cooks" {
  name = "cooks"
}
resource "minio_iam_group" "guests" {
  name = "guests"
}
resource "minio_iam_group_membership" "cooks" {
  name  = "cooks-members"
  group = minio_iam_group.cooks.name
  users = var.changed ? [minio_iam_user.ann.name] : [minio_iam_user.ann.name, minio_iam_user.ben.name]
}
resource "minio_iam_group_user_attachment" "guests" {
  group_name = minio_iam_group.guests.name
  user_name  = minio_iam_user.cem.name
}
resource "minio_iam_group_policy" "cooks" {
  name   = "cooks-policy"
  group  = minio_iam_group.cooks.id
  policy = local.reader
}
resource "minio_iam_group_policy_attachment" "guests" {
  group_name  = minio_iam_group.guests.name
  policy_name = minio_iam_policy.reader.id
}
resource "minio_iam_user_policy_attachment" "ben" {
  user_name   = minio_iam_user.ben.id
  policy_name = minio_iam_policy.reader.id
}
resource "minio_iam_service_account" "ben" {
  target_user = minio_iam_user.ben.name
  name        = "bens-key"
  description = var.changed ? "second" : "first"
  policy      = local.reader
}
resource "minio_accesskey" "ben" {
  user               = minio_iam_user.ben.name
  access_key         = "benskey12345"
  secret_key         = "bens-key-secret"
  secret_key_version = "v1"
  status             = var.changed ? "disabled" : "enabled"
}
output "service_account" {
  value = minio_iam_service_account.ben.access_key
}
output "service_secret" {
  value     = minio_iam_service_account.ben.secret_key
  sensitive = true
}
