"""A local Azure for the demo, the tests and the benchmark; never deployed.

with Simulator(load("retailer")) as azure:
    os.environ.update(azure.environment)
"""

from .access import Access, Group, ManagementGroup, RoleAssignment, RoleDefinition
from .actions import Actions
from .clusters import AddOn, Cluster, Pool
from .entities import (
    Application,
    Certificate,
    EventSubscription,
    FederatedCredential,
    Registry,
    Resource,
    ResourceGroup,
    Secret,
    ServicePrincipal,
    Subscription,
    SystemTopic,
    User,
    UserAssignedIdentity,
)
from .eventgrid import EventGrid
from .faults import Fault
from .generate import generate
from .host import FunctionsHost
from .operation import Caller, Operation
from .server import Request, Simulator
from .steps import Step
from .story import Expected, ExpectedFinding, Impact, LoadBearing, Pause, load, parse
from .teams import Channel, Post
from .tenant import Tenant

__all__ = [
    "Access",
    "Actions",
    "AddOn",
    "Application",
    "Caller",
    "Certificate",
    "Channel",
    "Cluster",
    "EventGrid",
    "EventSubscription",
    "Expected",
    "ExpectedFinding",
    "Fault",
    "FederatedCredential",
    "FunctionsHost",
    "Group",
    "Impact",
    "LoadBearing",
    "ManagementGroup",
    "Operation",
    "Pause",
    "Pool",
    "Post",
    "Registry",
    "Request",
    "Resource",
    "ResourceGroup",
    "RoleAssignment",
    "RoleDefinition",
    "Secret",
    "ServicePrincipal",
    "Simulator",
    "Step",
    "Subscription",
    "SystemTopic",
    "Tenant",
    "User",
    "UserAssignedIdentity",
    "generate",
    "load",
    "parse",
]
