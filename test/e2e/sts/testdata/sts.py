"""Exchanges keys and an identity token for sessions with boto3. Exits 1 at the first wrong answer."""
import os
import sys

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

ROLE = {"RoleArn": "arn:aws:iam::000000000000:role/any", "RoleSessionName": "e2e"}


def use(credentials):
    s3 = boto3.client(
        "s3",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        config=Config(s3={"addressing_style": "path"}),
    )
    s3.put_object(Bucket="shelf", Key="from-python", Body=b"x")
    try:
        s3.put_object(Bucket="other", Key="from-python", Body=b"x")
    except ClientError as e:
        if e.response["Error"]["Code"] == "AccessDenied":
            return
        sys.exit(f"another bucket: {e}")
    sys.exit("another bucket is open")


use(boto3.client("sts").assume_role(**ROLE)["Credentials"])
anonymous = boto3.client("sts", config=Config(signature_version=UNSIGNED))
answer = anonymous.assume_role_with_web_identity(WebIdentityToken=os.environ["WEB_TOKEN"], **ROLE)
use(answer["Credentials"])
if not answer["SubjectFromWebIdentityToken"]:
    sys.exit("no subject")
try:
    anonymous.assume_role_with_web_identity(WebIdentityToken="a.b.c", **ROLE)
    sys.exit("a token of nobody was taken")
except ClientError as e:
    if e.response["Error"]["Code"] != "InvalidIdentityToken":
        sys.exit(f"a token of nobody: {e}")
print("boto3 is content")
