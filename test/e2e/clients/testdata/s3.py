"""Drives the server with boto3: what AWS's users write. Exits 1 at the first wrong answer."""
import base64
import hashlib
import io
import json
import os
import sys
import urllib.request
import ssl

import boto3
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        check(call.__name__, e.response["Error"]["Code"], code)
        return e.response
    sys.exit(f"{call.__name__}: not refused with {code}")


B = "boto"
s3.create_bucket(Bucket=B)
check("buckets", B in [b["Name"] for b in s3.list_buckets()["Buckets"]], True)

for algorithm in ("CRC32", "SHA1", "SHA256"):
    s3.put_object(Bucket=B, Key="sum/" + algorithm, Body=b"hello", ChecksumAlgorithm=algorithm)
    out = s3.get_object(Bucket=B, Key="sum/" + algorithm, ChecksumMode="ENABLED")
    check(algorithm, (out["Body"].read(), "Checksum" + algorithm in out), (b"hello", True))
s3.put_object(Bucket=B, Key="md5", Body=b"hello", ContentMD5=base64.b64encode(hashlib.md5(b"hello").digest()).decode())
refused("BadDigest", s3.put_object, Bucket=B, Key="md5-wrong", Body=b"hello", ContentMD5=base64.b64encode(hashlib.md5(b"x").digest()).decode())

for key in ["a b", "a+b", "a%2Fb", "ü/ß", "a//b", "../x", "./y", "z/", "🦀", "<&>'\""]:
    s3.put_object(Bucket=B, Key=key, Body=key.encode(), Metadata={"k": "v"})
    out = s3.get_object(Bucket=B, Key=key)
    check(key, (out["Body"].read(), out["Metadata"]), (key.encode(), {"k": "v"}))

big = os.urandom(17 << 20)
config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=3)
s3.upload_fileobj(io.BytesIO(big), B, "big", Config=config, ExtraArgs={"Metadata": {"n": "1"}, "ContentType": "x/big"})
back = io.BytesIO()
s3.download_fileobj(B, "big", back, Config=config)
check("big", hashlib.sha256(back.getvalue()).digest(), hashlib.sha256(big).digest())
s3.copy({"Bucket": B, "Key": "big"}, B, "big-copy", Config=config)
check("copied in parts", s3.head_object(Bucket=B, Key="big-copy")["ContentLength"], len(big))

s3.put_object(Bucket=B, Key="once", Body=b"1", IfNoneMatch="*")
refused("PreconditionFailed", s3.put_object, Bucket=B, Key="once", Body=b"2", IfNoneMatch="*")
refused("NoSuchKey", s3.get_object, Bucket=B, Key="absent")
check("head", refused("404", s3.head_object, Bucket=B, Key="absent")["ResponseMetadata"]["HTTPStatusCode"], 404)
refused("NoSuchBucket", s3.list_objects_v2, Bucket="absent-bucket")

trust = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
link = s3.generate_presigned_url("get_object", Params={"Bucket": B, "Key": "once"}, ExpiresIn=60)
check("link", urllib.request.urlopen(link, context=trust).read(), b"1")
old = boto3.client("s3", config=Config(signature_version="s3"))
link = old.generate_presigned_url("get_object", Params={"Bucket": B, "Key": "once"}, ExpiresIn=60)
try:
    urllib.request.urlopen(link, context=trust)
    sys.exit("a link signed by version 2 was accepted")
except urllib.error.HTTPError as e:
    text = e.read().decode()
    check("version 2", (e.code, "s3v4" in text), (400, True))

form = s3.generate_presigned_post(B, "form/${filename}", Fields={"success_action_status": "201"},
                                  Conditions=[{"success_action_status": "201"}, ["content-length-range", 1, 10]])


def post(content):
    body = b"".join(f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in form["fields"].items())
    body += b'--x\r\nContent-Disposition: form-data; name="file"; filename="a b"\r\n\r\n' + content + b"\r\n--x--\r\n"
    request = urllib.request.Request(form["url"], body, {"Content-Type": "multipart/form-data; boundary=x"})
    try:
        return urllib.request.urlopen(request, context=trust).status
    except urllib.error.HTTPError as e:
        return e.code


check("form", (post(b"hello"), post(b"hello, hello")), (201, 400))
check("by form", s3.get_object(Bucket=B, Key="form/a b")["Body"].read(), b"hello")

s3.put_object(Bucket=B, Key="nothing", Body=b"")
error = refused("InvalidRange", s3.get_object, Bucket=B, Key="nothing", Range="bytes=0-8388607")["Error"]
check("size of nothing", error["ActualObjectSize"], "0")
part = s3.get_object(Bucket=B, Key="once", PartNumber=1)
check("part of a simple object", (part["ContentRange"], part["ResponseMetadata"]["HTTPStatusCode"]), ("bytes 0-0/1", 206))

for remove in (s3.delete_bucket_lifecycle, s3.delete_bucket_cors, s3.delete_bucket_encryption, s3.delete_bucket_website, s3.delete_bucket_policy,
               s3.delete_bucket_replication, s3.delete_public_access_block, s3.delete_bucket_ownership_controls, s3.delete_bucket_tagging):
    check(remove.__name__, remove(Bucket=B)["ResponseMetadata"]["HTTPStatusCode"], 204)
s3.put_bucket_notification_configuration(Bucket=B, NotificationConfiguration={})
s3.put_bucket_logging(Bucket=B, BucketLoggingStatus={})

s3.put_bucket_policy(Bucket=B, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{B}/sum/*"}]}))
nobody = boto3.client("s3", config=Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}))
out = nobody.delete_objects(Bucket=B, Delete={"Objects": [{"Key": "sum/SHA1"}, {"Key": "once"}]})
check("deleted by nobody", ([d["Key"] for d in out["Deleted"]], [e["Code"] for e in out["Errors"]]), (["sum/SHA1"], ["AccessDenied"]))
s3.delete_bucket_policy(Bucket=B)
refused("AccessDenied", nobody.delete_objects, Bucket=B, Delete={"Objects": [{"Key": "sum/SHA256"}]})

s3.put_object_tagging(Bucket=B, Key="once", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
check("tags", s3.get_object_tagging(Bucket=B, Key="once")["TagSet"], [{"Key": "a", "Value": "1"}])
s3.delete_object_tagging(Bucket=B, Key="once")
check("tags", s3.get_object_tagging(Bucket=B, Key="once")["TagSet"], [])

bucket = boto3.resource("s3", config=Config(signature_version="s3v4")).Bucket(B)
check("listed", "big" in [o.key for o in bucket.objects.all()], True)
refused("BucketNotEmpty", s3.delete_bucket, Bucket=B)
bucket.objects.all().delete()
bucket.delete()
s3.get_waiter("bucket_not_exists").wait(Bucket=B)
print("boto3 is content")
