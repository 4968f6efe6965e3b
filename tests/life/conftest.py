"""A real local cloud."""

from __future__ import annotations

import clouds

cached_packages = clouds.cached_packages
module_home = clouds.module_home
module_cloud = clouds.module_cloud
in_module_cloud = clouds.in_module_cloud
