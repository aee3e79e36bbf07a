"""A Django app as many are: one model with an ImageField, one form, one page. It knows nothing of Perdura.

    gunicorn gallery:application        with DATABASE_NAME, DATABASE_SOCKETS and MEDIA_ROOT in the environment
"""

import os

import django
from django.conf import settings

settings.configure(
    DEBUG=True,
    SECRET_KEY="a test's own",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MEDIA_ROOT=os.environ["MEDIA_ROOT"],
    MEDIA_URL="/media/",
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    INSTALLED_APPS=["django.contrib.contenttypes"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ["DATABASE_NAME"],
            "HOST": os.environ["DATABASE_SOCKETS"],
            "USER": "postgres",
        }
    },
)
django.setup()

from django.conf.urls.static import static  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.forms import ModelForm  # noqa: E402
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402

PAGE = """<!doctype html><title>Gallery</title>
<form method="post" enctype="multipart/form-data">{% csrf_token %}{{ form }}<button>Upload</button></form>
{% for photo in photos %}<img src="{{ photo.image.url }}" width="{{ photo.image.width }}">{% endfor %}"""


class Photo(models.Model):
    title = models.CharField(max_length=100)
    image = models.ImageField(upload_to="photos/%Y/")

    class Meta:
        app_label = "gallery"


class PhotoForm(ModelForm):
    class Meta:
        model = Photo
        fields = ["title", "image"]


def gallery(request: HttpRequest) -> HttpResponse:
    form = PhotoForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return HttpResponseRedirect("/")
    page = engines["django"].from_string(PAGE)
    return HttpResponse(page.render({"form": form, "photos": Photo.objects.order_by("id")}, request))


urlpatterns = [path("", gallery), *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT)]

if Photo._meta.db_table not in connection.introspection.table_names():
    with connection.schema_editor() as editor:
        editor.create_model(Photo)
connection.close()

application = get_wsgi_application()
