"""The Price List API, as far as the prices of instance types on demand and of disks need it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES
from werkzeug.wrappers import Response

from . import answers, market
from .prices import on_demand_price

_JSON_TYPE = "application/x-amz-json-1.1"
_TERM = "JRTCKXETXF"
_RATE = "6YS6EN2CT7"
_PAGE = 100

# What our products are; a filter with another value finds nothing.
_FIXED = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "licenseModel": "No License required",
    "operation": "RunInstances",
    "marketoption": "OnDemand",
    "termType": "OnDemand",
    "locationType": "AWS Region",
    "servicecode": "AmazonEC2",
    "ServiceCode": "AmazonEC2",
    "productFamily": "Compute Instance",
}
_DISK = {"productFamily": "Storage", "volumeApiName": "gp3", "volumeType": "General Purpose"}
_GB_MONTH = 0.08  # USD for gp3
_DEFAULT_REGION = "us-east-1"


def answer(action: str, params: dict[str, Any]) -> Response:
    """Answer one call of the Price List API."""
    if action != "GetProducts":
        return answers.error(
            "pricing", "InvalidParameterException", f"The local cloud does not have {action}."
        )
    if params.get("ServiceCode") != "AmazonEC2":
        return answers.error(
            "pricing", "InvalidParameterException", "The local cloud has prices of AmazonEC2 only."
        )
    wanted = {str(f["Field"]): str(f["Value"]) for f in params.get("Filters", [])}
    region = wanted.pop("regionCode", _DEFAULT_REGION)
    instance_type = wanted.pop("instanceType", None)
    wanted.pop("location", None)
    if wanted.get("productFamily") == _DISK["productFamily"]:
        named = all(_DISK.get(name, value) == value for name, value in wanted.items())
        products = [_disk(region)] if named and instance_type is None else []
        return answers.document(
            {"FormatVersion": "aws_v1", "PriceList": products}, content_type=_JSON_TYPE
        )
    found: list[str] = []
    if all(_FIXED.get(name, value) == value for name, value in wanted.items()):
        offered = market.types_of(region)
        wanted_types = sorted(offered) if instance_type is None else [instance_type]
        found = [name for name in wanted_types if name in offered]
    start = int(params.get("NextToken") or 0)
    size = min(int(params.get("MaxResults") or _PAGE), _PAGE)
    result: dict[str, Any] = {
        "FormatVersion": "aws_v1",
        "PriceList": [json.dumps(_product(name, region)) for name in found[start : start + size]],
    }
    if start + size < len(found):
        result["NextToken"] = str(start + size)
    return answers.document(result, content_type=_JSON_TYPE)


def _disk(region: str) -> str:
    words = "per GB-month of General Purpose (gp3) provisioned storage"
    return json.dumps(_item(f"{region}/gp3", region, _DISK, "GB-Mo", words, _GB_MONTH))


def _product(instance_type: str, region: str) -> dict[str, Any]:
    known = INSTANCE_TYPES[instance_type]
    attributes = {
        **{name: _FIXED[name] for name in _FIXED if name[0].islower()},
        "instanceType": instance_type,
        "vcpu": str(known["VCpuInfo"]["DefaultVCpus"]),
        "memory": f"{known['MemoryInfo']['SizeInMiB'] / 1024:g} GiB",
    }
    words = f"On Demand Linux {instance_type} Instance Hour"
    price = on_demand_price(instance_type)
    return _item(f"{region}/{instance_type}", region, attributes, "Hrs", words, price)


def _item(
    what: str, region: str, attributes: dict[str, str], unit: str, words: str, price: float
) -> dict[str, Any]:
    sku = hashlib.sha256(what.encode()).hexdigest()[:16].upper()
    offer, rate = f"{sku}.{_TERM}", f"{sku}.{_TERM}.{_RATE}"
    return {
        "product": {
            "sku": sku,
            "productFamily": attributes["productFamily"],
            "attributes": {**attributes, "regionCode": region},
        },
        "serviceCode": "AmazonEC2",
        "terms": {
            "OnDemand": {
                offer: {
                    "offerTermCode": _TERM,
                    "sku": sku,
                    "priceDimensions": {
                        rate: {
                            "rateCode": rate,
                            "unit": unit,
                            "description": words,
                            "beginRange": "0",
                            "endRange": "Inf",
                            "appliesTo": [],
                            "pricePerUnit": {"USD": f"{price:.10f}"},
                        }
                    },
                    "termAttributes": {},
                }
            }
        },
        "version": "local",
        "publicationDate": "2026-11-01T00:00:00Z",
    }
