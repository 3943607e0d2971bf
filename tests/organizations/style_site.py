"""Every component on one page, for the tests that look at it; not part of the product."""

from datetime import timedelta
from pathlib import Path

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.urls import path
from django.utils import timezone
from django_cotton.compiler_regex import CottonCompiler

from emailsettings.urls import urlpatterns as product

HERE = Path(__file__).parent


class StyleForm(forms.Form):
    name = forms.CharField(label="Server name", initial="Production SMTP")
    host = forms.CharField(label="SMTP host", initial="smtp.northwind.example")
    port = forms.IntegerField(label="Port", initial=465)
    security = forms.ChoiceField(
        choices=[("none", "None"), ("starttls", "STARTTLS"), ("tls", "TLS")],
        widget=forms.RadioSelect,
        initial="starttls",
        help_text="TLS from the first byte, or after STARTTLS.",
    )
    username = forms.CharField(initial="office@northwind.example")
    password = forms.CharField(
        widget=forms.PasswordInput, help_text="Leave blank to keep the stored one.", required=False
    )
    period = forms.ChoiceField(
        label="Download", choices=[("week", "The last week"), ("all", "Everything")], required=False
    )
    body = forms.CharField(label="Note", widget=forms.Textarea(attrs={"rows": 3}), required=False)
    is_default = forms.BooleanField(
        label="Default server", required=False, initial=True, help_text="Used where nobody chose another one."
    )
    sends = forms.BooleanField(label="Send emails using this mailbox", required=False)


def render(request: HttpRequest, name: str, context: dict[str, object], status: int = 200) -> HttpResponse:
    source = (HERE / name).read_text(encoding="utf-8")
    return HttpResponse(
        Template(CottonCompiler().process(source)).render(RequestContext(request, context)), status=status
    )


def style(request: HttpRequest) -> HttpResponse:
    if "message" in request.GET:
        messages.success(request, "Saved. The server is used from now on.")
    wrong = StyleForm({"name": "", "host": "smtp northwind", "port": "", "security": "tls"}, auto_id="page_%s")
    context = {
        "form": StyleForm(auto_id="more_%s"),
        "wrong": wrong,
        "checked_at": timezone.now() - timedelta(minutes=4),
        "long": "A mailbox with a very long name that nobody would type by hand but somebody imported",
        "hostile": "<b onclick=\"x('y')\">&amp;",
    }
    return render(request, "style_page.html", context)


def dialog(request: HttpRequest) -> HttpResponse:
    form = StyleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        answer = HttpResponse(status=204)
        answer["HX-Trigger"] = '{"dialog:close": {}, "toast": {"text": "The server is saved.", "kind": "good"}}'
        return answer
    return render(request, "style_dialog.html", {"form": form}, status=422 if form.is_bound else 200)


def card(request: HttpRequest) -> HttpResponse:
    return render(request, "style_card.html", {})


def mail(request: HttpRequest) -> HttpResponse:
    return render(request, "style_mail.html", {"pane": request.GET.get("pane", "list")})


def broken(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=500)


def events(request: HttpRequest) -> HttpResponse:
    """One announcement, then silence; the browser is told not to come back soon."""
    return HttpResponse('retry: 600000\ndata: {"kind": "mailbox", "pk": 12}\n\n', content_type="text/event-stream")


urlpatterns = [
    path("events", events),
    path("style", style),
    path("style/dialog", dialog),
    path("style/card", card),
    path("style/mail", mail),
    path("style/broken", broken),
    *product,
]
