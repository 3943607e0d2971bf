"""The settings workspace: mail servers and email accounts on one page, with an overview on top."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render


def home(request: HttpRequest) -> HttpResponse:
    return redirect("email-settings")


def email_settings(request: HttpRequest) -> HttpResponse:
    return render(request, "emailsettings/email_settings.html")
