"""A local Azure for the demo, the tests and the benchmark; never deployed.

with Simulator(load("retailer")) as azure:
    os.environ.update(azure.environment)
"""

from .entities import Application, Certificate, Cluster, ResourceGroup, Secret, ServicePrincipal, Subscription, User
from .faults import Fault
from .generate import generate
from .server import Request, Simulator
from .steps import Step
from .story import Expected, ExpectedFinding, Pause, load, parse
from .teams import Channel, Post
from .tenant import Tenant

__all__ = [
    "Application",
    "Certificate",
    "Channel",
    "Cluster",
    "Expected",
    "ExpectedFinding",
    "Fault",
    "Pause",
    "Post",
    "Request",
    "ResourceGroup",
    "Secret",
    "ServicePrincipal",
    "Simulator",
    "Step",
    "Subscription",
    "Tenant",
    "User",
    "generate",
    "load",
    "parse",
]
