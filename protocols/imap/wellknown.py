"""What servers and programs call the folders for sent mail, drafts and so on, for servers that do not tell (RFC 6154).

Names in lower case, separated by bars. A new language is a few more words.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split("|"))


SENT = _names("""
    sent | sent items | sent messages | sent mail | sent-mail | gesendet | gesendete objekte |
    gesendete elemente | gesendete nachrichten | envoyés | envoyes | messages envoyés | éléments envoyés |
    enviados | elementos enviados | mensajes enviados | itens enviados | enviadas | inviata | posta inviata |
    inviati | messaggi inviati | verzonden | verzonden items | verzonden berichten | wysłane |
    elementy wysłane | odeslané | odeslaná pošta | odoslané | skickat | skickade objekt | sendt | sendt post |
    sendte elementer | lähetetyt | отправленные | надіслані | gönderilmiş öğeler | gönderilenler | 已发送 |
    已发送邮件 | 已发邮件 | 寄件備份 | 送信済み | 送信済みメール | 보낸편지함 | elküldött | elküldött elemek
""")
DRAFTS = _names("""
    drafts | draft | entwürfe | entwurf | brouillons | borradores | rascunhos | bozze | concepten |
    kopie robocze | robocze | koncepty | rozepsané | utkast | kladder | luonnokset | черновики | чернетки |
    taslaklar | 草稿 | 草稿箱 | 草稿匣 | 下書き | 임시보관함 | piszkozatok
""")
TRASH = _names("""
    trash | deleted | deleted items | deleted messages | bin | papierkorb | gelöschte objekte |
    gelöschte elemente | gelöscht | corbeille | éléments supprimés | messages supprimés | papelera |
    elementos eliminados | eliminados | lixeira | lixo | itens excluídos | cestino | posta eliminata |
    prullenbak | verwijderde items | kosz | elementy usunięte | koš | odstraněná pošta | kôš | papperskorg |
    papperskorgen | borttagna objekt | papirkurv | slettet post | slettede elementer | roskakori | poistetut |
    корзина | удаленные | удалённые | кошик | видалені | çöp kutusu | silinmiş öğeler | 已删除 | 已删除邮件 |
    垃圾桶 | ゴミ箱 | 휴지통 | törölt elemek | kuka
""")
JUNK = _names("""
    junk | junk e-mail | junk email | junk mail | spam | bulk mail | bulk | spamverdacht | unerwünscht |
    courrier indésirable | indésirables | pourriel | correo no deseado | no deseado | lixo eletrônico |
    posta indesiderata | ongewenste e-mail | ongewenste reclame | wiadomości-śmieci | nevyžádaná pošta |
    skräppost | søppelpost | uønsket e-mail | roskaposti | спам | нежелательная почта | небажана пошта |
    önemsiz | gereksiz e-posta | 垃圾邮件 | 垃圾郵件 | 迷惑メール | 스팸편지함 | levélszemét
""")
ARCHIVE = _names("""
    archive | archives | archiv | archivo | arquivo | arquivo morto | archivio | archief | archiwum | arkiv |
    arkisto | архив | архів | arşiv | 归档 | 存档 | 封存 | アーカイブ | 보관함 | archívum
""")
