"""Spot fleets, EC2's older kind: moto's, where it fails on what may be left out or is unknown."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response


class SpotFleetAnswers(EC2Response):
    """Part of the EC2 API: RequestSpotFleet, and what refers to a spot fleet by its id."""

    def request_spot_fleet(self) -> ActionResult:
        """Answer RequestSpotFleet."""
        asked = self.params.get("SpotFleetRequestConfig", {})
        asked.setdefault("AllocationStrategy", "lowestPrice")
        self.error_on_dryrun()
        return super().request_spot_fleet()

    def modify_spot_fleet_request(self) -> ActionResult:
        """Answer ModifySpotFleetRequest."""
        self._known(self._get_param("SpotFleetRequestId"))
        if self._get_param("TargetCapacity") is None:
            raise EC2ClientError(
                "MissingParameter", "The request must contain the parameter TargetCapacity"
            )
        return super().modify_spot_fleet_request()

    def describe_spot_fleet_instances(self) -> ActionResult:
        """Answer DescribeSpotFleetInstances."""
        self._known(self._get_param("SpotFleetRequestId"))
        return super().describe_spot_fleet_instances()

    def cancel_spot_fleet_requests(self) -> ActionResult:
        """Answer CancelSpotFleetRequests."""
        backend: Any = self.ec2_backend
        asked = self._get_param("SpotFleetRequestIds", [])
        self.params["SpotFleetRequestIds"] = [
            one for one in asked if one in backend.spot_fleet_requests
        ]
        said: Any = super().cancel_spot_fleet_requests().result
        return ActionResult(
            {
                **said,
                "UnsuccessfulFleetRequests": [
                    {
                        "SpotFleetRequestId": one,
                        "Error": {
                            "Code": "fleetRequestIdDoesNotExist",
                            "Message": f"The spot fleet request ID '{one}' does not exist",
                        },
                    }
                    for one in asked
                    if one not in self.params["SpotFleetRequestIds"]
                ],
            }
        )

    def _known(self, request_id: str) -> None:
        if request_id not in self.ec2_backend.spot_fleet_requests:
            raise EC2ClientError(
                "InvalidSpotFleetRequestId.NotFound",
                f"The spot fleet request ID '{request_id}' does not exist",
            )
