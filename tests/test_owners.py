import pytest

from shared.model import Owner
from shared.owners import Directory, Route, Tags, assign, team_key
from tests.builders import SUBSCRIPTION, cluster, finding

APP = "/applications/1"
ADA = Owner(object_id="ada", name="Ada Lovelace", mail="ada@shop.example", source="application")
BOB = Owner(object_id="BOB", source="service principal")
HOME = cluster().id.lower()


def tags(*levels):
    """Tags of the cluster, its resource group and its subscription."""
    names = ("cluster prod-weu", "resource group shop", "subscription Shop")
    return {HOME: Tags(levels=tuple(zip(names, levels, strict=False)))}


def assigned(subject=None, *, related=(), **directory):
    return assign(subject or finding(owners=()), related, Directory(**directory))


@pytest.mark.parametrize(
    ("levels", "value", "where"),
    [
        ([{"owner": "a"}, {"owner": "b"}, {"owner": "c"}], "a", "cluster prod-weu"),
        ([{}, {"owner": "b"}, {"owner": "c"}], "b", "resource group shop"),
        ([{"owner": "  "}, {}, {"OWNER": " c "}], "c", "subscription Shop"),
        ([{"Owner": "a", "x": "y"}], "a", "cluster prod-weu"),
        ([{}, {}, {}], "", ""),
        ([], "", ""),
    ],
)
def test_the_nearest_tag_counts(levels, value, where):
    assert tags(*levels)[HOME].nearest("owner") == (value, where)


def test_the_tag_comes_before_the_owners_in_graph():
    left = assigned(related=(APP,), owners={APP: (ADA, BOB)}, tags=tags({"owner": "web team"}))
    assert left.owners == (Owner(name="web team", source="tag owner of cluster prod-weu"), ADA, BOB)


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        pytest.param((ADA, BOB, ADA), (ADA, BOB), id="the first mention counts, and keeps its place"),
        pytest.param((ADA, Owner(object_id="ADA")), (ADA,), id="object ids have no case"),
        pytest.param((Owner(mail="a@x"), Owner(mail="b@x")), (Owner(mail="a@x"), Owner(mail="b@x")), id="only mails"),
        pytest.param((Owner(name="ada LOVELACE"), ADA), (ADA,), id="a name that Graph knows better"),
        pytest.param((), (), id="nobody"),
    ],
)
def test_everybody_is_named_once(owners, expected):
    assert assigned(related=(APP,), owners={APP: owners}).owners == expected


def test_owners_of_the_finding_itself_come_first():
    subject = finding(resource_id=APP, owners=())
    assert assigned(
        subject, related=("/servicePrincipals/2",), owners={APP: (ADA,), "/servicePrincipals/2": (BOB,)}
    ).owners == (
        ADA,
        BOB,
    )


@pytest.mark.parametrize(
    ("wanted", "team", "note"),
    [
        ({}, "", ""),
        ({"team": "Web Shop"}, "WEB_SHOP", ""),
        ({"TEAM": "web-shop"}, "WEB_SHOP", ""),
        ({"team": "data"}, "", "team “data” has no receiver of its own"),
    ],
)
def test_the_team_tag(wanted, team, note):
    left = assigned(tags=tags(wanted), teams=frozenset({"WEB_SHOP"}))
    assert (left.team, left.team_note) == (team, note)


def test_tags_may_have_other_names():
    left = assigned(
        tags=tags({"cost-owner": "ada", "squad": "web"}),
        teams=frozenset({"WEB"}),
        owner_tag="Cost-Owner",
        team_tag="squad",
    )
    assert ([owner.label for owner in left.owners], left.team) == (["ada"], "WEB")


CLUSTER = finding(owners=())
SECRET = finding(resource_id=APP, resource_name="Checkout API", owners=(), facts={"app_id": "ABC", "cert": ["--cert"]})


@pytest.mark.parametrize(
    ("route", "subject", "matches"),
    [
        pytest.param({"owner": "ADA@shop.example"}, SECRET, True, id="an owner's mail"),
        pytest.param({"owner": "ada lovelace"}, SECRET, True, id="an owner's name"),
        pytest.param({"owner": "bob"}, SECRET, True, id="an owner's object id, without case"),
        pytest.param({"owner": "eve"}, SECRET, False, id="nobody of that name"),
        pytest.param({"app_id": "abc"}, SECRET, True, id="the application's id, without case"),
        pytest.param({"app_id": "abd"}, SECRET, False, id="another application's id"),
        pytest.param({"app_id": CLUSTER.facts["client_id"]}, CLUSTER, True, id="the cluster's client id"),
        pytest.param({"name_prefix": "CHECK"}, SECRET, True, id="how the name begins"),
        pytest.param({"name_prefix": "API"}, SECRET, False, id="how the name ends"),
        pytest.param({"subscription": SUBSCRIPTION.upper()}, CLUSTER, True, id="the subscription"),
        pytest.param({"subscription": SUBSCRIPTION[:-1]}, CLUSTER, False, id="part of a subscription id"),
        pytest.param({"subscription": SUBSCRIPTION}, SECRET, False, id="an application is in no subscription"),
        pytest.param({"tag": "Env=PROD"}, CLUSTER, True, id="a tag, without case"),
        pytest.param({"tag": "env = prod"}, CLUSTER, True, id="a tag written with spaces"),
        pytest.param({"tag": "env=test"}, CLUSTER, False, id="another value of the tag"),
        pytest.param({"tag": "none=x"}, CLUSTER, False, id="a tag that is not there"),
        pytest.param({"tag": "none="}, CLUSTER, False, id="a tag that is not there, without a value"),
        pytest.param({"tag": "env=prod"}, SECRET, False, id="an application has no tags"),
        pytest.param({"tag": "env=prod", "name_prefix": "prod"}, CLUSTER, True, id="both of two"),
        pytest.param({"tag": "env=prod", "name_prefix": "test"}, CLUSTER, False, id="one of two"),
        pytest.param({}, CLUSTER, False, id="a route that asks for nothing matches nothing"),
    ],
)
def test_a_route(route, subject, matches):
    left = assigned(
        subject,
        related=(APP,),
        owners={APP: (ADA, BOB)},
        tags=tags({"env": "prod"}),
        teams=frozenset({"WEB"}),
        routes=(Route(team="web", **route),),
    )
    assert left.team == ("WEB" if matches else "")


def test_the_first_route_that_matches_wins_over_the_tag():
    routes = (
        Route(team="no", name_prefix="x"),
        Route(team="first", name_prefix="prod"),
        Route(team="b", name_prefix="p"),
    )
    left = assigned(tags=tags({"team": "tagged"}), routes=routes, teams=frozenset({"FIRST", "TAGGED", "B"}))
    assert left.team == "FIRST"


@pytest.mark.parametrize(("team", "key"), [("web", "WEB"), ("Web Shop-2", "WEB_SHOP_2"), ("größe", "GR_SSE"), ("", "")])
def test_team_key(team, key):
    assert team_key(team) == key
